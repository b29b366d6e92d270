"""Opens, resets and closes the accounts of staff, participants and client systems.

Called inside a unit of work by the command line and by administration. What a person must be told
(password, one-time-code secret) is returned once, and kept only sealed.
"""

import json
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from sqlalchemy import Connection, insert, select, update

from service.access import scopes, tables
from service.errors import Absent, Conflict, Invalid
from service.identity import clients, families, one_time, sign_in
from service.identity.client_keys import usable
from service.identity.passwords import Passwords
from service.identity.tables import account, client, insert_once
from service.keys.keyring import Keyring
from service.vocabulary import HOUSE, Micros, PatientId, Purpose, Relation, ResourceId, Role

LEAST_PASSWORD = 12
PURPOSES: dict[Role, tuple[Purpose, ...]] = {
    Role.PEER: (Purpose.TREAT, Purpose.COC),
    Role.SUPERVISOR: (Purpose.HOPERAT, Purpose.TREAT),
    Role.CLINICIAN: (Purpose.TREAT, Purpose.ETREAT),
    Role.COMPLIANCE: (Purpose.HCOMPL,),
    Role.ADMINISTRATOR: (Purpose.HSYSADMIN,),
    Role.PARTICIPANT: (Purpose.PATRQT,),
    Role.EHR: (Purpose.TREAT,),
}
"""What a role is entitled to unless registered otherwise; the first is the default."""
STAFF_OF_RECORD = frozenset({Role.PEER, Role.SUPERVISOR, Role.CLINICIAN})


@dataclass(frozen=True, slots=True)
class Standing:
    """What the gate will know of a principal. Empty `purposes` means the role's own."""

    role: Role
    relation: Relation = Relation.INSIDE
    organisation: ResourceId | None = None
    practitioner: ResourceId | None = None
    patient: PatientId | None = None
    purposes: tuple[Purpose, ...] = ()
    medical: bool = False


@dataclass(frozen=True, slots=True)
class Secrets:
    """Shown once, to hand to the person; `enrolment` is the address a QR code of it carries."""

    principal: str
    username: str
    password: str
    totp_secret: str
    enrolment: str


def create_person(
    connection: Connection,
    keyring: Keyring,
    passwords: Passwords,
    at: Micros,
    *,
    username: str,
    standing: Standing,
    password: str | None = None,
) -> Secrets:
    """An account for staff or a participant; raises Conflict if the username is taken."""
    if standing.role is Role.EHR:
        raise Invalid("A system gets a client, not a username.")
    if standing.role in STAFF_OF_RECORD and standing.practitioner is None:
        raise Invalid("Staff who work with participants need a Practitioner.")
    if (standing.role is Role.PARTICIPANT) is not (standing.patient is not None):
        raise Invalid("A participant, and nobody else, signs in to a Patient.")
    if not username.strip():
        raise Invalid("A username is needed.")
    told = _new_secrets(str(uuid4()), username, password)
    _add_principal(connection, told.principal, "person", standing, at)
    row = {
        "principal": told.principal,
        "login": sign_in.login_digest(keyring, username),
        "version": 1,
        "sealed": _seal_account(connection, keyring, passwords, told, 1),
        "last_step": 0, "failures": 0, "locked_until": 0,
    }  # fmt: skip
    if not insert_once(connection, account, row):
        raise Conflict("This username is taken.")
    return told


def reset(
    connection: Connection,
    keyring: Keyring,
    passwords: Passwords,
    at: Micros,
    *,
    username: str,
    password: str | None = None,
) -> Secrets:
    """A new password and one-time-code secret; every sign-in of the account ends."""
    login = sign_in.login_digest(keyring, username)
    row = connection.execute(select(account).where(account.c.login == login)).one_or_none()
    if row is None:
        raise Absent("No account has this username.")
    told = _new_secrets(row.principal, username, password)
    version = row.version + 1
    changed = connection.execute(
        update(account)
        .where(account.c.principal == row.principal, account.c.version == row.version)
        .values(
            version=version, sealed=_seal_account(connection, keyring, passwords, told, version),
            last_step=0, failures=0, locked_until=0,
        )
    )  # fmt: skip
    if changed.rowcount != 1:
        raise Conflict("The account was reset by somebody else just now.")
    families.revoke_all(connection, row.principal, at)
    return told


def create_client(
    connection: Connection,
    keyring: Keyring,
    at: Micros,
    *,
    standing: Standing,
    scope: str,
    jwks: dict[str, Any] | None = None,
    jwks_uri: str | None = None,
) -> str:
    """Register a backend service and return its client id. Its keys are inline or at an https URL.

    `scope` is the most it may ever be granted; each part must be one that we speak.
    """
    parsed = [scopes.parse(word) for word in scope.split()]
    if not parsed or any(s is None or s.level not in clients.BACKEND_LEVELS for s in parsed):
        raise Invalid("Registered scopes are SMART system scopes, separated by spaces.")
    if standing.role is not Role.EHR:
        raise Invalid("A client is a system.")
    if standing.relation is Relation.OUTSIDE and standing.organisation is None:
        raise Invalid("An outside recipient needs an Organization: consents name it.")
    keys = _keys_given(jwks, jwks_uri)
    client_id, principal_id = str(uuid4()), str(uuid4())
    _add_principal(connection, principal_id, "system", standing, at)
    connection.execute(
        insert(client),
        {
            "id": client_id, "principal": principal_id, "method": clients.ASSERTION,
            "version": 1, "scope": " ".join(scope.split()),
            "sealed": _seal_client(connection, keyring, client_id, 1, keys),
        },
    )  # fmt: skip
    return client_id


def replace_keys(
    connection: Connection,
    keyring: Keyring,
    client_id: str,
    *,
    jwks: dict[str, Any] | None = None,
    jwks_uri: str | None = None,
) -> None:
    """Give a client other keys; assertions signed with the old ones are refused from now on."""
    held = select(client.c.version).where(client.c.id == client_id)
    version = connection.execute(held).scalar_one_or_none()
    if version is None:
        raise Absent("No client has this id.")
    keys = _keys_given(jwks, jwks_uri)
    sealed = _seal_client(connection, keyring, client_id, version + 1, keys)
    changed = connection.execute(
        update(client)
        .where(client.c.id == client_id, client.c.version == version)
        .values(version=version + 1, sealed=sealed)
    )
    if changed.rowcount != 1:
        raise Conflict("The client was changed by somebody else just now.")


def deactivate(connection: Connection, principal_id: str, at: Micros) -> None:
    """Close an account or client: tokens it holds are refused from the next request on."""
    changed = connection.execute(
        update(tables.principal).where(tables.principal.c.id == principal_id).values(active=False)
    )
    if changed.rowcount != 1:
        raise Absent("No principal has this id.")
    families.revoke_all(connection, principal_id, at)


def _new_secrets(principal_id: str, username: str, password: str | None) -> Secrets:
    if password is not None and len(password) < LEAST_PASSWORD:
        raise Invalid(f"A password has at least {LEAST_PASSWORD} characters.")
    totp = one_time.new_secret()
    return Secrets(
        principal_id, username, password or secrets.token_urlsafe(15), totp,
        one_time.enrolment(totp, username),
    )  # fmt: skip


def _add_principal(
    connection: Connection, principal_id: str, kind: str, standing: Standing, at: Micros
) -> None:
    purposes = standing.purposes or PURPOSES[standing.role]
    connection.execute(
        insert(tables.principal),
        {
            "id": principal_id, "kind": kind, "role": standing.role.value,
            "relation": standing.relation.value, "organisation": standing.organisation,
            "practitioner": standing.practitioner, "patient": standing.patient,
            "purposes": " ".join(purposes), "medical": standing.medical, "active": True,
            "since": at,
        },
    )  # fmt: skip


def _seal_account(
    connection: Connection, keyring: Keyring, passwords: Passwords, told: Secrets, version: int
) -> bytes:
    held = {"password": passwords.hash(told.password), "totp": told.totp_secret}
    return keyring.seal(
        connection, patient=HOUSE, type="Account", id=told.principal, version=version,
        body=json.dumps(held).encode(), place=sign_in.PLACE,
    )  # fmt: skip


def _keys_given(jwks: dict[str, Any] | None, jwks_uri: str | None) -> dict[str, Any]:
    match jwks, jwks_uri:
        case dict(), None:
            return {"jwks": usable(jwks).as_dict(private=False)}
        case None, str(address) if urlsplit(address).scheme == "https":
            return {"jwks_uri": address}
        case _:
            raise Invalid("A client has either a JWKS or the https address of one.")


def _seal_client(
    connection: Connection, keyring: Keyring, client_id: str, version: int, held: dict[str, Any]
) -> bytes:
    return keyring.seal(
        connection, patient=HOUSE, type="Client", id=client_id, version=version,
        body=json.dumps(held).encode(), place=clients.PLACE,
    )  # fmt: skip
