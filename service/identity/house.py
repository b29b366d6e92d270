"""What every endpoint of this door shares: made once by the app, then only read."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sqlalchemy import Connection

from service.access.caller import Tokens
from service.access.token_keys import SECOND, TokenKeys
from service.database.opener import Opener
from service.errors import Unavailable
from service.identity.client_keys import Fetch, RemoteKeys, fetch_https
from service.identity.clients import Clients
from service.identity.passwords import Passwords
from service.identity.tables import forget_expired
from service.identity.work import Gate
from service.keys.keyring import Keyring
from service.vocabulary import Micros

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
TIDY = 600 * SECOND


@dataclass
class Tidying:
    """Deletes expired rows now and then, in a transaction that is open anyway."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    due: int = 0

    def run(self, connection: Connection, at: Micros) -> None:
        with self.lock:
            if at < self.due:
                return
            self.due = at + TIDY
        forget_expired(connection, at)


@dataclass(frozen=True)
class House:
    """`opener` is for looking up before the gate is asked: it is only ever read from."""

    base_url: str
    gate: Gate
    opener: Opener
    clock: Callable[[], Micros]
    keyring: Keyring
    token_keys: TokenKeys
    tokens: Tokens
    clients: Clients
    passwords: Passwords
    tidying: Tidying = field(default_factory=Tidying)

    @property
    def token_url(self) -> str:
        """Built from the configured base, never from a request's Host."""
        return f"{self.base_url}/oauth/token"


def furnish(
    *,
    base_url: str,
    production: bool,
    gate: Gate,
    opener: Opener,
    clock: Callable[[], Micros],
    keyring: Keyring,
    token_keys: TokenKeys,
    tokens: Tokens,
    passwords: Passwords | None = None,
    fetch: Fetch = fetch_https,
) -> House:
    """Refuses to hand out tokens over plain http, but for a demonstration on this machine."""
    base = urlsplit(base_url)
    secure = base.scheme == "https" and bool(base.hostname)
    at_home = not production and base.scheme == "http" and base.hostname in LOOPBACK
    if not (secure or at_home) or base.query or base.fragment or base_url.endswith("/"):
        raise Unavailable("PEERNOTES_BASE_URL must start with https:// and end without a slash.")
    return House(
        base_url, gate, opener, clock, keyring, token_keys, tokens,
        Clients(keyring, RemoteKeys(fetch)), passwords or Passwords(),
    )  # fmt: skip
