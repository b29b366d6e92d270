"""Whom the gate knows. Passwords, client keys and refresh tokens are the identity door's."""

from sqlalchemy import Boolean, Column, Index, Integer, SmallInteger, String, Table

from service.database.metadata import GUID, MICROS, SEALED, metadata

principal = Table(
    "principal",
    metadata,
    Column("id", GUID, primary_key=True),
    Column("kind", String(8), nullable=False),  # person, system
    Column("role", String(24), nullable=False),
    Column("relation", String(8), nullable=False),  # inside, outside
    Column("organisation", GUID, nullable=True),  # Organization
    Column("practitioner", GUID, nullable=True),  # Practitioner
    Column("patient", GUID, nullable=True),  # a participant's own sign-in
    Column("purposes", String(200), nullable=False),  # entitled, space separated; first is default
    Column("medical", Boolean, nullable=False),  # medical personnel, 42 CFR 2.51
    Column("active", Boolean, nullable=False),
    Column("since", MICROS, nullable=False),
)
revoked_token = Table(
    "revoked_token",
    metadata,
    Column("token", GUID, primary_key=True),  # jti of an access token, or a refresh family
    Column("until", MICROS, nullable=False),  # when it would have expired anyway
)
Index("ix_revoked_token_until", revoked_token.c.until)
installation = Table(
    "installation",
    metadata,
    Column("one", SmallInteger, primary_key=True),
    Column("mode", String(10), nullable=False),  # demo, production
    Column("origin", String(200), nullable=False),  # the ledger's name
    Column("since", MICROS, nullable=False),
)
token_key = Table(
    "token_key",
    metadata,
    # Numbered from 1, so that two processes making "the next key" make one.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kid", GUID, nullable=False, unique=True),
    Column("sealed", SEALED, nullable=False),  # private JWK; its public half is trusted with it
    Column("since", MICROS, nullable=False),  # signs from
    Column("until", MICROS, nullable=False),  # verifies until
)
