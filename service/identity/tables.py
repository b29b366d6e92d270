"""Passwords, client keys, refresh tokens: what proves who somebody is.

Nothing here can be guessed at offline from a stolen copy: logins are keyed hashes, and password
hashes, one-time-code secrets and client keys are sealed under the house key.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    delete,
)
from sqlalchemy.dialects import postgresql, sqlite

from service.access.tables import principal, revoked_token, token_key
from service.database.metadata import DIGEST, GUID, MICROS, SEALED, metadata
from service.vocabulary import Micros

account = Table(
    "account",
    metadata,
    Column("principal", GUID, ForeignKey(principal.c.id), primary_key=True),
    Column("login", DIGEST, nullable=False, unique=True),
    Column("version", Integer, nullable=False),  # of `sealed`; raised by each reset
    Column("sealed", SEALED, nullable=False),  # argon2 hash and one-time-code secret
    Column("last_step", BigInteger, nullable=False),  # newest one-time code used: none serves twice
    Column("failures", Integer, nullable=False),
    Column("locked_until", MICROS, nullable=False),
)
client = Table(
    "client",
    metadata,
    Column("id", GUID, primary_key=True),
    Column("principal", GUID, ForeignKey(principal.c.id), nullable=False, unique=True),
    Column("method", String(24), nullable=False),  # token_endpoint_auth_method
    Column("version", Integer, nullable=False),  # of `sealed`
    Column("sealed", SEALED, nullable=False),  # {"jwks": ...} or {"jwks_uri": ...}
    Column("scope", String(2000), nullable=False),  # the most it may be granted
)
refresh_token = Table(
    "refresh_token",
    metadata,
    Column("digest", DIGEST, primary_key=True),
    Column("family", GUID, nullable=False),  # one per sign-in
    Column("principal", GUID, ForeignKey(principal.c.id), nullable=False),
    Column("client", String(36), nullable=False),
    Column("until", MICROS, nullable=False),  # of the family: rotation never prolongs a sign-in
    Column("used", MICROS, nullable=True),
)
Index("ix_refresh_token_until", refresh_token.c.until)
Index("ix_refresh_token_principal", refresh_token.c.principal)
seen_assertion = Table(
    "seen_assertion",
    metadata,
    Column("issuer", GUID, primary_key=True),
    Column("token", DIGEST, primary_key=True),  # SHA-256 of the jti: its length is the client's
    Column("until", MICROS, nullable=False),
)
Index("ix_seen_assertion_until", seen_assertion.c.until)


def insert_once(connection: Connection, table: Table, row: dict[str, object]) -> bool:
    """Insert unless a unique key forbids it; True for exactly one of any number of rivals."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    key = next(iter(table.primary_key))  # rowcount is not kept for inserts: a returned row tells
    statement = dialect.insert(table).on_conflict_do_nothing().returning(key)
    return connection.execute(statement, row).first() is not None


def forget_expired(connection: Connection, at: Micros) -> None:
    """Delete what time alone has made useless. Safe to repeat, and to leave out."""
    for table in (seen_assertion, refresh_token, revoked_token, token_key):
        connection.execute(delete(table).where(table.c.until < at))
