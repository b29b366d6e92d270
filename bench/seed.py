"""Fills a fresh database through the gate's own import act, and signs its callers in."""

import atexit
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice

from joserfc.jwk import ECKey

from bench import town
from service.access.caller import OWN_APP, ROLE_SCOPE
from service.app import House, clock, open_house
from service.audit.notary import Notary
from service.audit.sequencer import sequence
from service.cli.intake import OPERATOR
from service.identity import accounts, signing
from service.identity.accounts import Standing
from service.identity.passwords import Passwords
from service.settings import Settings
from service.vocabulary import Action, Relation, ResourceId, Role

BATCH = 400
LIFETIME = 6 * 3600
SCOPE = " ".join(
    f"system/{type_}.rs" for type_ in ("Patient", "Encounter", "Goal", "Organization",
                                       "Practitioner", "CareTeam", "DocumentReference")
)  # fmt: skip
WRITING = SCOPE.replace("system/Encounter.rs", "system/Encounter.cruds")


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, and whom it stands for."""

    bearer: str
    principal: str


@dataclass(frozen=True, slots=True)
class Callers:
    """Who will call: the house's own EHR, the clinic's EHR under consent, ten peers."""

    inside: Token
    outside: Token
    peers: tuple[Token, ...]


def begin(house: House, people: int) -> None:
    """Program, clinic, peers, participants."""
    town_records = chain(town.house(), *(town.person(number) for number in range(people)))
    _store(house, town_records)


def grow(
    settings: Settings, first: int, last: int, people: int, told: Callable[[int], None]
) -> None:
    """Encounters first to last - 1, by as many processes as the database can have writers."""
    chunks = [range(start, min(start + BATCH, last)) for start in range(first, last, BATCH)]
    processes = 1 if settings.sqlite else 2
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _move_in, (settings,)) as pool:
        for done in pool.map(_store_some, chunks, [people] * len(chunks)):
            told(done)


def catch_up(house: House) -> None:
    """Afterwards every entry is in the tree, and the tree is signed."""
    while sequence(house.transactions, house.ledger, clock()):
        pass
    Notary(house.transactions, house.ledger, house.settings.notary_dir, clock).step()


_houses: list[House] = []
"""The one house of a process that seeds."""


def _move_in(settings: Settings) -> None:
    house = open_house(settings)
    _houses.append(house)
    atexit.register(house.close)


def _store_some(numbers: range, people: int) -> int:
    return _store(_houses[0], [town.encounter(number, people) for number in numbers])


def _store(house: House, resources: Iterable[town.Resource]) -> int:
    """In acts of BATCH; how many."""
    waiting, count = iter(resources), 0
    while batch := list(islice(waiting, BATCH)):
        with house.access.operate(Action.IMPORT, OPERATOR) as act:
            for resource in batch:
                act.create(resource, id=ResourceId(resource["id"]))
        count += len(batch)
    return count


def callers(house: House) -> Callers:
    """Accounts and clients as an operator makes them; tokens as the token endpoint signs them."""
    program, clinic = ResourceId(town.PROGRAM), ResourceId(town.CLINIC)
    clients = (
        (Standing(Role.EHR, organisation=program), WRITING),
        (Standing(Role.EHR, Relation.OUTSIDE, organisation=clinic), SCOPE),
    )
    inside, outside = (_system(house, standing, scope) for standing, scope in clients)
    return Callers(inside, outside, tuple(_peers(house, program)))


def _system(house: House, standing: Standing, scope: str) -> Token:
    key = ECKey.generate_key("P-384", auto_kid=True)
    public = key.as_dict(private=False) | {"alg": "ES384", "use": "sig"}
    with house.access.work(Action.ACCOUNT, agent=OPERATOR.principal) as work:
        client_id = accounts.create_client(
            work.connection, work.keyring, work.at, standing=standing, scope=scope,
            jwks={"keys": [public]},
        )  # fmt: skip
        found = house.sign_in.clients.find(work.connection, client_id)
    assert found is not None  # noqa: S101 (registered a moment ago)
    return _signed(house, found.principal, client_id, scope)


def _peers(house: House, program: ResourceId) -> Iterator[Token]:
    passwords = Passwords()
    for number in range(town.PEERS):
        standing = Standing(
            Role.PEER, organisation=program, practitioner=ResourceId(town.practitioner(number))
        )
        with house.access.work(Action.ACCOUNT, agent=OPERATOR.principal) as work:
            made = accounts.create_person(
                work.connection, work.keyring, passwords, work.at, username=f"bench{number}",
                standing=standing,
            )  # fmt: skip
        yield _signed(house, made.principal, OWN_APP, ROLE_SCOPE)


def _signed(house: House, principal: str, client: str, scope: str) -> Token:
    claims = {"sub": principal, "client_id": client, "scope": scope}
    base_url = house.settings.base_url
    return Token(
        signing.issue(house.sign_in.token_keys, base_url, clock(), LIFETIME, claims), principal
    )
