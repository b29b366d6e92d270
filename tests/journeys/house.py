"""A running service: real uvicorn, real database, real keys, no mocks."""

import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from joserfc.jwk import ECKey
from rich.console import Console
from sqlalchemy import func, select

from service.app import House, build, clock, open_house
from service.audit.notary import Notary
from service.audit.sequencer import Sequencer
from service.audit.tables import ledger_pending
from service.cli import setup
from service.cli.demo_data import load
from service.cli.intake import OPERATOR
from service.cli.people import Ehr, Person
from service.identity import accounts
from service.identity.accounts import Standing
from service.identity.passwords import Passwords
from service.settings import Settings, from_environment
from service.vocabulary import Action, Purpose, Relation, ResourceId, Role

FHIR_JSON = "application/fhir+json"
Caller = Person | Ehr


@dataclass
class Service:
    """One house with its demo people, serving on loopback."""

    settings: Settings
    house: House
    web: httpx2.Client
    people: dict[str, Person]
    ehr: Ehr
    systems: dict[tuple[object, ...], Ehr] = field(default_factory=dict)

    def signed_in(self, name: str) -> Person:
        """A person signed in once: a one-time code is good only once."""
        person = self.people[name]
        if not person.token:
            assert person.sign_in().status_code == 200
        return person

    def authorized(self) -> Ehr:
        assert self.ehr.authorize().status_code == 200
        return self.ehr

    def system(
        self, organisation: ResourceId, *, scope: str = "system/*.cruds",
        relation: Relation = Relation.OUTSIDE, purposes: tuple[Purpose, ...] = (),
    ) -> Ehr:  # fmt: skip
        """An EHR's backend service of this organisation, registered once and signed in."""
        key = (organisation, scope, relation, purposes)
        if key not in self.systems:
            standing = Standing(Role.EHR, relation, organisation=organisation, purposes=purposes)
            self.systems[key] = Ehr(self.web, _registered(self.house, standing, scope))
            assert self.systems[key].authorize().status_code == 200
        return self.systems[key]

    def person(self, name: str, standing: Standing) -> Person:
        """Somebody who is not among the demo's people, signed in."""
        if name not in self.people:
            with self.house.access.work(Action.ACCOUNT, agent=OPERATOR.principal) as work:
                made = accounts.create_person(
                    work.connection, work.keyring, Passwords(), work.at, username=name,
                    standing=standing,
                )  # fmt: skip
            self.people[name] = Person(
                self.web, name, made.password, made.totp_secret, standing.role.value
            )
        return self.signed_in(name)

    def ask(
        self, who: Caller | None, method: str, path: str, body: Any = None, **headers: str
    ) -> httpx2.Response:
        """One request; header names are written with underscores. A dict is sent as FHIR JSON."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if who is not None:
            sent.setdefault("authorization", f"Bearer {who.token}")
        if isinstance(body, dict):
            sent.setdefault("content-type", FHIR_JSON)
            body = json.dumps(body).encode()
        return self.web.request(method, path, content=body, headers=sent)


def _registered(house: House, standing: Standing, scope: str) -> dict[str, Any]:
    key = ECKey.generate_key("P-384", auto_kid=True)
    public = key.as_dict(private=False) | {"alg": "ES384", "use": "sig"}
    with house.access.work(Action.ACCOUNT, agent=OPERATOR.principal) as work:
        client_id = accounts.create_client(
            work.connection, work.keyring, work.at, standing=standing, scope=scope,
            jwks={"keys": [public]},
        )  # fmt: skip
    return {
        "client_id": client_id,
        "token_url": f"{house.settings.base_url}/oauth/token",
        "private_jwk": key.as_dict(private=True) | {"alg": "ES384"},
        "scope": scope,
    }


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


def furnish(settings: Settings) -> None:
    """Schema, keys, ledger and the demo's people."""
    setup.prepare(settings)
    house = open_house(settings)
    load(house, Console(file=io.StringIO()), first=True)
    house.close()


def actors(settings: Settings, web: httpx2.Client) -> tuple[dict[str, Person], Ehr]:
    folder = settings.data_dir / "demo"
    staff = json.loads((folder / "staff.json").read_text())
    people = {each["username"]: Person(web, **each) for each in staff}
    return people, Ehr(web, json.loads((folder / "ehr-client.json").read_text()))


def _kept_up(house: House) -> None:
    """Whatever a story did, every entry of it has found its place in the tree."""
    until = time.monotonic() + 30
    waiting = select(func.count()).select_from(ledger_pending)
    while True:
        with house.transactions.read() as connection:
            count = connection.execute(waiting).scalar_one()
        if count == 0:
            return
        assert time.monotonic() < until, f"{count} entries are in no tree"
        time.sleep(0.1)


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
    with httpx2.Client(base_url=settings.base_url, timeout=30) as web:
        yield Service(settings, house, web, *actors(settings, web))
    _kept_up(house)
    server.should_exit = True
    thread.join()
    for machine in reversed(machines):
        machine.close()
    house.close()
