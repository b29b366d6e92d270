"""A whole house in this process: the demo's people and some more, each with a token.

No mocks: real database, keys, ledger and doors; only sign-in is left out, since the identity door
has its own tests.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
from rich.console import Console
from sqlalchemy import create_engine, make_url, text
from starlette.testclient import TestClient

from service.access.caller import OWN_APP, ROLE_SCOPE, Presented
from service.app import House, build, clock, open_house
from service.audit.notary import Notary
from service.audit.sequencer import sequence
from service.cli import demo_data, setup
from service.cli.demo_data import CLINIC, DANA, KIM, MARIA, PROGRAM, SAM
from service.cli.intake import OPERATOR
from service.cli.people import Person
from service.identity import signing
from service.identity.accounts import Standing, _add_principal
from service.settings import Settings, from_environment
from service.vocabulary import Action, PatientId, Purpose, Relation, ResourceId, Role

TERRENCE, AIYANA, WALTER = (
    PatientId(f"30000000-0000-4000-8000-00000000000{number}") for number in (2, 3, 4)
)
LEE = ResourceId("20000000-0000-4000-8000-000000000008")
RIO = ResourceId("20000000-0000-4000-8000-000000000009")
STANDINGS = {
    "dana": Standing(Role.PEER, organisation=PROGRAM, practitioner=DANA),
    "sam": Standing(Role.SUPERVISOR, organisation=PROGRAM, practitioner=SAM),
    "kim": Standing(Role.CLINICIAN, organisation=PROGRAM, practitioner=KIM, medical=True),
    "casey": Standing(Role.COMPLIANCE, organisation=PROGRAM),
    "alex": Standing(Role.ADMINISTRATOR, organisation=PROGRAM),
    "maria": Standing(Role.PARTICIPANT, patient=MARIA),
    "terrence": Standing(Role.PARTICIPANT, patient=TERRENCE),
    "lee": Standing(Role.PEER, organisation=PROGRAM, practitioner=LEE),  # nobody on the caseload
    "rio": Standing(Role.SUPERVISOR, organisation=PROGRAM, practitioner=RIO),  # nor here
    "clinic": Standing(Role.CLINICIAN, Relation.OUTSIDE, organisation=CLINIC, practitioner=LEE),
    "doctor": Standing(
        Role.CLINICIAN, Relation.OUTSIDE, organisation=CLINIC, practitioner=RIO, medical=True,
        purposes=(Purpose.TREAT, Purpose.BTG),
    ),
    "clerk": Standing(
        Role.CLINICIAN, Relation.OUTSIDE, organisation=CLINIC, practitioner=RIO,
        purposes=(Purpose.TREAT, Purpose.BTG),
    ),
}  # fmt: skip


@dataclass
class Town:
    """One house and whoever comes to it."""

    settings: Settings
    house: House
    web: TestClient
    principals: dict[str, str]
    people: dict[str, Person] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Person:
        """A person, signed in, over HTTP."""
        if name not in self.people:
            person = Person(self.web, name, "", "", STANDINGS[name].role)  # type: ignore[arg-type]
            person.user_id, person.token = self.principals[name], self.token(name)
            self.people[name] = person
        return self.people[name]

    def token(self, name: str) -> str:
        claims = {"sub": self.principals[name], "client_id": OWN_APP, "scope": ROLE_SCOPE}
        return signing.issue(
            self.house.sign_in.token_keys, self.settings.base_url, clock(), 1800, claims
        )

    def presented(self, name: str) -> Presented:
        """For tests that stand at the gate instead of the door."""
        return self.house.tokens.present(f"Bearer {self.token(name)}", clock())

    def store(self, *resources: dict[str, Any]) -> None:
        """What intake or an EHR brought in."""
        with self.house.access.operate(Action.IMPORT, OPERATOR) as act:
            for resource in resources:
                act.update(resource)

    def publish(self) -> None:
        """What the sequencer and the notary do by themselves in a running service."""
        sequence(self.house.transactions, self.house.ledger, clock())
        notary = Notary(self.house.transactions, self.house.ledger, self.settings.notary_dir, clock)
        notary.step()

    def get(self, name: str, path: str, **options: Any) -> httpx2.Response:
        """With headers of the test's own, such as the purpose of use."""
        headers = {"authorization": f"Bearer {self[name].token}"} | options.pop("headers", {})
        answer: httpx2.Response = self.web.get(path, headers=headers, **options)
        return answer


@contextmanager
def empty_database(server: str) -> Iterator[str]:
    """The URL of a new PostgreSQL database; the service makes its schema by migration."""
    name = f"town_{uuid4().hex[:12]}"
    url = make_url(server).set(drivername="postgresql+psycopg")
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield url.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
    admin.dispose()


@contextmanager
def opened(url: str, folder: Path) -> Iterator[Town]:
    """A new house; `url` is empty for SQLite."""
    settings = from_environment(
        {
            "PEERNOTES_DATA_DIR": str(folder),
            "PEERNOTES_PORT": "8123",
            "PEERNOTES_DATABASE_URL": url,
        }
    )
    setup.prepare(settings)
    house = open_house(settings)
    demo_data.load(house, Console(file=io.StringIO()), first=True)
    principals = {name: str(uuid4()) for name in STANDINGS}
    with house.access.work(Action.ACCOUNT, agent=OPERATOR.principal) as work:
        for name, standing in STANDINGS.items():
            _add_principal(work.connection, principals[name], "person", standing, work.at)
    with TestClient(build(house), base_url=settings.base_url) as web:
        town = Town(settings, house, web, principals)
        town.store(
            demo_data._practitioner(LEE, "Lee", "Ngata"),
            demo_data._practitioner(RIO, "Rio", "Vega"),
        )
        yield town
