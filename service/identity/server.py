"""The token endpoint: authlib's grants, each request at a desk of its own.

Looking up and verifying come first, outside any transaction. Once it is known who asks, the desk
opens the one unit of work, so that the ledger entry names them; the assertion is then marked as
seen, or the refresh token as used, and the token signed. The work has committed before the answer
exists for anybody. A refusal commits too: what was used up stays used up.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import cast

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    InvalidClientError,
    InvalidGrantError,
    InvalidScopeError,
    OAuth2Request,
)
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant, RefreshTokenGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload

from service.access.caller import OWN_APP, ROLE_SCOPE
from service.identity import families
from service.identity.answers import (
    DESCRIPTIONS,
    Answer,
    Json,
    backend_token,
    refusal,
    signed_in,
)
from service.identity.assertion import Once, Proof
from service.identity.clients import ASSERTION, PUBLIC, Client
from service.identity.families import Family, Refused
from service.identity.house import House
from service.identity.tables import insert_once, seen_assertion
from service.identity.work import Work
from service.vocabulary import Action


class FormRequest(OAuth2Request):
    """A form that was read in async code. `uri` is the configured one; authlib demands https."""

    def __init__(self, uri: str, form: Mapping[str, str]) -> None:
        super().__init__("POST", uri)
        self._form = dict(form)
        self.payload = BasicOAuth2Payload(self._form)

    @property
    def form(self) -> dict[str, str]:
        return self._form


class Desk(AuthorizationServer):
    """Serves one request. `stack` closes, and so commits, the work it opens."""

    def __init__(self, house: House, stack: ExitStack, action: Action) -> None:
        super().__init__()
        self.house = house
        self.at = house.clock()
        self.work: Work | None = None
        self._stack = stack
        self._action = action
        self._named: Client | None = None
        self.register_client_auth_method(
            ASSERTION, Proof(house.token_url, house.clients, self.at, self._proved)
        )
        self.register_grant(Backend)
        self.register_grant(Refresh)

    def start_work(self, agent: str, client: str) -> Work:
        """Open the one unit of work of this request, or go on with it."""
        if self.work is None:
            work = self.house.gate.work(self._action, agent=agent, client=client)
            self.work = self._stack.enter_context(work)
        return self.work

    def query_client(self, client_id: str) -> Client | None:  # type: ignore[override]
        with self.house.opener.read() as connection:
            self._named = self.house.clients.find(connection, client_id)
        return self._named

    def _proved(self, client: Client, once: Once) -> bool:
        work = self.start_work(client.principal, client.id)
        row = {"issuer": once.issuer, "token": once.token, "until": once.until}
        return insert_once(work.connection, seen_assertion, row)

    def generate_token(  # type: ignore[override]
        self,
        grant_type: str,  # noqa: ARG002
        client: Client,
        user: Family | None = None,
        scope: str | None = None,
        expires_in: int | None = None,  # noqa: ARG002
        include_refresh_token: bool = True,  # noqa: ARG002, FBT001, FBT002
    ) -> Json:
        """Grant the scope, then sign. authlib would grant whatever was asked."""
        granted = client.get_allowed_scope(scope or "")
        if not granted:
            raise InvalidScopeError
        work = self.start_work(user.principal if user else client.principal, client.id)
        self.house.token_keys.refresh(work.connection, work.at)
        self.house.tidying.run(work.connection, work.at)
        if user is not None:
            return signed_in(self.house, work, user)
        return backend_token(self.house, work, client.principal, client.id, granted)

    def save_token(self, token: object, request: object) -> None:
        """Access tokens are checked, not looked up: nothing of them is stored."""

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """No one listens: the ledger entry is the gate's."""

    def create_oauth2_request(self, request: FormRequest) -> FormRequest:
        return request

    def handle_response(self, status: int, body: Json, headers: object) -> Answer:  # noqa: ARG002
        return Answer(status, body)

    def handle_error_response(self, request: FormRequest, error: OAuth2Error) -> Answer:  # type: ignore[override]
        code = error.error or "server_error"
        reason = str(getattr(error, "reason", code))
        if self.work is not None:
            self.work.refuse(reason)
        elif isinstance(error, InvalidClientError) and "client_assertion" in request.form:
            name = self._named.id if self._named else ""
            self.start_work("", name).refuse(reason if name else "unknown-client")
        return refusal(code if code in DESCRIPTIONS else "invalid_request")


class Backend(ClientCredentialsGrant):
    """client_credentials by private_key_jwt, nothing else."""

    TOKEN_ENDPOINT_AUTH_METHODS = [ASSERTION]  # noqa: RUF012 (authlib's declaration)


class Spent(InvalidGrantError):
    """A refresh token not taken; `reason` is for the ledger."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class Refresh(RefreshTokenGrant):
    """refresh_token for our own app. The scope is always the role's: it cannot grow."""

    TOKEN_ENDPOINT_AUTH_METHODS = [PUBLIC]  # noqa: RUF012 (authlib's declaration)
    INCLUDE_NEW_REFRESH_TOKEN = True

    def validate_token_request(self) -> None:
        if (self.request.form.get("scope") or ROLE_SCOPE) != ROLE_SCOPE:
            raise InvalidScopeError  # before the token is used up
        super().validate_token_request()

    def authenticate_refresh_token(self, refresh_token: str) -> "Claimed":  # type: ignore[override]
        desk: Desk = self.server
        with desk.house.opener.read() as connection:
            known = families.look_up(connection, refresh_token)
        work = desk.start_work(known.principal if known else "", OWN_APP)
        found = families.claim(work.connection, refresh_token, OWN_APP, work.at)
        if isinstance(found, Refused):
            raise Spent(found.value)
        return Claimed(found)

    def authenticate_user(self, refresh_token: "Claimed") -> Family:
        return refresh_token.family

    def revoke_old_credential(self, refresh_token: "Claimed") -> None:  # type: ignore[override]
        """Claiming it used it up."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A refresh token just used up, in the shape that authlib asks for."""

    family: Family

    def check_client(self, client: Client) -> bool:
        return client.id == self.family.client

    def get_scope(self) -> str:
        return ROLE_SCOPE


def answer_token(house: House, form: Mapping[str, str]) -> Answer:
    """POST /oauth/token. Returns once the work is durable."""
    with ExitStack() as stack:
        desk = Desk(house, stack, Action.TOKEN)
        answer = desk.create_token_response(FormRequest(house.token_url, form))
    return cast("Answer", answer)  # the stub does not know handle_response
