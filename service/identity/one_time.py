"""One-time codes: RFC 6238, 30 seconds, one step of clock drift either way."""

import hmac

import pyotp

from service.access.token_keys import SECOND
from service.vocabulary import Micros

STEP = 30
DRIFT = 1
ISSUER = "peernotes"


def new_secret() -> str:
    return pyotp.random_base32()


def matched_step(secret: str, code: str, at: Micros) -> int | None:
    """The time step a code belongs to. The caller lets no step serve twice (section 5.2)."""
    totp = pyotp.TOTP(secret)
    now = at // SECOND // STEP
    found = None
    for step in range(now - DRIFT, now + DRIFT + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), code.encode()):
            found = step  # no early exit: every wrong code costs the same
    return found


def enrolment(secret: str, username: str) -> str:
    """The otpauth: address that an authenticator app takes as a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=ISSUER)
