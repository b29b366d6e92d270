"""A running service: real uvicorn, real database, real keys, no mocks."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import uvicorn

from service.app import House, build, clock, open_house
from service.audit.notary import Notary
from service.audit.sequencer import Sequencer
from service.cli.people import Ehr, Person
from service.settings import Settings, from_environment


@dataclass
class Service:
    """One house with its demo people, serving on loopback."""

    settings: Settings
    house: House
    web: httpx2.Client
    people: dict[str, Person]
    ehr: Ehr

    def signed_in(self, name: str) -> Person:
        """A person signed in once per story: a one-time code is good only once."""
        person = self.people[name]
        if not person.token:
            assert person.sign_in().status_code == 200
        return person

    def authorized(self) -> Ehr:
        assert self.ehr.authorize().status_code == 200
        return self.ehr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def settings_for(url: str, folder: Path) -> Settings:
    return from_environment(
        {
            "PEERNOTES_DATA_DIR": str(folder),
            "PEERNOTES_PORT": str(free_port()),
            "PEERNOTES_DATABASE_URL": url,
        }
    )


def serving(settings: Settings) -> Iterator[Service]:
    house = open_house(settings)
    machines = (
        Sequencer(house.transactions, house.ledger, clock),
        Notary(house.transactions, house.ledger, settings.notary_dir, clock),
    )
    config = uvicorn.Config(
        build(house), host="127.0.0.1", port=settings.port, log_level="error", access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    for machine in machines:
        machine.start()
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        time.sleep(0.02)
    staff = json.loads((settings.data_dir / "demo" / "staff.json").read_text())
    client = json.loads((settings.data_dir / "demo" / "ehr-client.json").read_text())
    with httpx2.Client(base_url=settings.base_url, timeout=30) as web:
        people = {each["username"]: Person(web, **each) for each in staff}
        yield Service(settings, house, web, people, Ehr(web, client))
    server.should_exit = True
    thread.join()
    for machine in reversed(machines):
        machine.close()
    house.close()
