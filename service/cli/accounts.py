"""`peernotes account`: open, reset and close accounts of staff, participants and client systems."""

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from service.access.enforce import Work
from service.app import House, open_house
from service.cli.intake import OPERATOR
from service.identity import accounts
from service.identity.accounts import Standing
from service.identity.passwords import Passwords
from service.settings import Settings
from service.vocabulary import Action, PatientId, Purpose, Relation, ResourceId, Role


def add_to(commands: Any) -> None:  # noqa: ANN401 (argparse names no type for it)
    parser = commands.add_parser(
        "account",
        help="open, reset or close accounts",
        description="Secrets are printed once and kept only sealed.",
        epilog="Example: peernotes account person jo --role peer-specialist"
        " --organisation UUID --practitioner UUID",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    person = actions.add_parser("person", help="open an account for staff or a participant",
                                epilog="Example: peernotes account person casey --role"
                                " compliance-officer --organisation UUID")  # fmt: skip
    person.add_argument("username")
    person.add_argument("--role", required=True, choices=[r.value for r in Role if r != Role.EHR])
    person.add_argument("--organisation", help="id of their Organization")
    person.add_argument("--practitioner", help="id of their Practitioner")
    person.add_argument("--patient", help="id of the participant's own Patient")
    person.add_argument("--medical", action="store_true", help="medical personnel: may break glass")
    system = actions.add_parser("client", help="register an EHR's backend service",
                                epilog="Example: peernotes account client --organisation UUID"
                                " --jwks keys.json --scope 'system/Encounter.rs'")  # fmt: skip
    system.add_argument("--organisation", required=True)
    system.add_argument("--scope", required=True)
    system.add_argument("--inside", action="store_true", help="the program's own EHR")
    keys = system.add_mutually_exclusive_group(required=True)
    keys.add_argument("--jwks", type=Path, help="file with its public keys")
    keys.add_argument("--jwks-url", help="https address of its public keys")
    system.add_argument("--purpose", action="append", choices=[p.value for p in Purpose])
    reset = actions.add_parser("reset", help="new password and one-time-code secret",
                               epilog="Example: peernotes account reset dana")  # fmt: skip
    reset.add_argument("username")
    close = actions.add_parser("close", help="end an account or client at once",
                               epilog="Example: peernotes account close PRINCIPAL")  # fmt: skip
    close.add_argument("principal")
    parser.set_defaults(run=run)


def run(arguments: Namespace, settings: Settings) -> int:
    house = open_house(settings)
    acts: dict[str, Callable[[Namespace, Work], dict[str, Any]]] = {
        "person": _person, "client": _client, "reset": _reset, "close": _close,
    }  # fmt: skip
    try:
        with _work(house) as work:
            told = acts[arguments.action](arguments, work)
    finally:
        house.close()
    print(json.dumps(told, indent=2))
    return 0


def _work(house: House) -> Any:  # noqa: ANN401 (the gate's context manager)
    return house.access.work(Action.ACCOUNT, agent=OPERATOR.principal, client=OPERATOR.client)


def _person(given: Namespace, work: Work) -> dict[str, Any]:
    role = Role(given.role)
    standing = Standing(
        role=role,
        organisation=ResourceId(given.organisation) if given.organisation else None,
        practitioner=ResourceId(given.practitioner) if given.practitioner else None,
        patient=PatientId(given.patient) if given.patient else None,
        purposes=(*accounts.PURPOSES[role], Purpose.BTG) if given.medical else (),
        medical=given.medical,
    )
    made = accounts.create_person(
        work.connection, work.keyring, Passwords(), work.at, username=given.username,
        standing=standing,
    )  # fmt: skip
    return _secrets(made)


def _client(given: Namespace, work: Work) -> dict[str, Any]:
    standing = Standing(
        Role.EHR,
        Relation.INSIDE if given.inside else Relation.OUTSIDE,
        organisation=ResourceId(given.organisation),
        purposes=tuple(Purpose(each) for each in given.purpose or ()),
    )
    jwks = json.loads(given.jwks.read_text()) if given.jwks else None
    client = accounts.create_client(
        work.connection, work.keyring, work.at, standing=standing, scope=given.scope, jwks=jwks,
        jwks_uri=given.jwks_url,
    )  # fmt: skip
    return {"client_id": client}


def _reset(given: Namespace, work: Work) -> dict[str, Any]:
    made = accounts.reset(
        work.connection, work.keyring, Passwords(), work.at, username=given.username
    )
    return _secrets(made)


def _close(given: Namespace, work: Work) -> dict[str, Any]:
    accounts.deactivate(work.connection, given.principal, work.at)
    return {"closed": given.principal}


def _secrets(made: accounts.Secrets) -> dict[str, Any]:
    return {
        "principal": made.principal,
        "username": made.username,
        "password": made.password,
        "totp_secret": made.totp_secret,
        "enrolment": made.enrolment,
    }
