"""The demo's actors: each speaks to the service as its real counterpart would, over HTTP."""

import hashlib
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx2
import pyotp
from joserfc import jwt
from joserfc.jwk import ECKey

from service.database.ids import uuid7
from service.vocabulary import Micros

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
STEP = 30
"""Seconds a one-time code lives; it is good once, so a second sign-in waits for the next."""


@dataclass
class Person:
    """A member of staff or a participant, with password and one-time code."""

    web: httpx2.Client
    username: str
    password: str
    totp_secret: str
    role: str
    token: str = ""
    user_id: str = ""
    sequence: int = field(default_factory=lambda: int(time.time()))

    def sign_in(self) -> httpx2.Response:
        """Waits for the next one-time code when this one was used before."""
        answer = self._try()
        if answer.status_code != httpx2.codes.OK:
            time.sleep(STEP - time.time() % STEP + 0.5)
            answer = self._try()
        if answer.status_code == httpx2.codes.OK:
            body = answer.json()
            self.token, self.user_id = body["access_token"], body["user_id"]
        return answer

    def _try(self) -> httpx2.Response:
        code = pyotp.TOTP(self.totp_secret).now()
        typed = {"username": self.username, "password": self.password, "totp": code}
        return self.web.post("/oauth/sign-in", json=typed)

    def get(self, path: str, **options: Any) -> httpx2.Response:  # noqa: ANN401 (httpx's own)
        return self.web.get(path, headers=self._headers(), **options)

    def post(self, path: str, content: Any = None) -> httpx2.Response:  # noqa: ANN401 (JSON)
        return self.web.post(path, headers=self._headers(), json=content)

    def put(self, path: str, content: Any, *, if_match: str) -> httpx2.Response:  # noqa: ANN401
        headers = self._headers() | {
            "if-match": if_match,
            "content-type": "application/fhir+json",
        }
        return self.web.put(path, headers=headers, content=json.dumps(content))

    def push(self, device: str, *operations: dict[str, Any]) -> httpx2.Response:
        batch = {"device": device, "app_version": "demo", "ops": list(operations)}
        return self.post("/sync/v1/push", batch)

    def operation(
        self, type_: str, entity: tuple[str, str], device: str, payload: dict[str, Any],
        occurred: dict[str, Any],
    ) -> dict[str, Any]:  # fmt: skip
        """A frozen operation as the tablet seals it; sha256 over everything else."""
        self.sequence += 1
        operation = {
            "op_id": uuid7(Micros(time.time_ns() // 1000)),
            "type": type_,
            "schema": 1,
            "entity": {"type": entity[0], "id": entity[1]},
            "base_version": None,
            "depends_on": [],
            "seq": self.sequence,
            "device_id": device,
            "user_id": self.user_id,
            "occurred": occurred,
            "created_at_device": datetime.now(UTC).isoformat(timespec="seconds"),
            "clock_offset_ms": 0,
            "payload": payload,
        }
        canonical = json.dumps(operation, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return operation | {"sha256": hashlib.sha256(canonical.encode()).hexdigest()}

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}


@dataclass
class Ehr:
    """An EHR's backend service: SMART private_key_jwt, then FHIR."""

    web: httpx2.Client
    client: dict[str, Any]
    token: str = ""

    def authorize(self) -> httpx2.Response:
        key = ECKey.import_key(self.client["private_jwk"])
        now = int(time.time())
        claims = {
            "iss": self.client["client_id"],
            "sub": self.client["client_id"],
            "aud": self.client["token_url"],
            "jti": str(uuid4()),
            "iat": now,
            "exp": now + 240,
        }
        header = {"alg": "ES384", "kid": key.kid, "typ": "JWT"}
        answer = self.web.post(
            self.client["token_url"],
            data={
                "grant_type": "client_credentials",
                "scope": self.client["scope"],
                "client_assertion_type": ASSERTION,
                "client_assertion": jwt.encode(header, claims, key, algorithms=["ES384"]),
            },
        )
        if answer.status_code == httpx2.codes.OK:
            self.token = answer.json()["access_token"]
        return answer

    def get(self, path: str, **options: Any) -> httpx2.Response:  # noqa: ANN401 (httpx's own)
        headers = {"authorization": f"Bearer {self.token}"}
        return self.web.get(path, headers=headers, **options)


def fresh() -> str:
    """A random id, as tablets choose them."""
    return str(uuid4())
