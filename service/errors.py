"""Everything that can go wrong, as a closed set in the field's words.

Doors turn these into HTTP (service/web.py). No message ever carries a person's data: a message
names the element (FHIRPath) and the rule, never the value found there.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Issue:
    """One fault: an R4 IssueType code, what to do about it, and the FHIRPath where it is."""

    code: str
    diagnostics: str
    expression: str | None = None


class PeernotesError(Exception):
    """Base of the closed set. `status` is the HTTP status a door answers with."""

    status = 500
    code = "exception"

    def __init__(self, diagnostics: str, *issues: Issue) -> None:
        super().__init__(diagnostics)
        self.issues: tuple[Issue, ...] = issues or (Issue(self.code, diagnostics),)


class Malformed(PeernotesError):
    """The bytes, a parameter or a structure cannot be understood."""

    status, code = 400, "structure"


class Unauthenticated(PeernotesError):
    """No token, or one that is expired, revoked or not ours."""

    status, code = 401, "login"


class Forbidden(PeernotesError):
    """This role or scope may never do this, whatever the record: depends on no record."""

    status, code = 403, "forbidden"


class Absent(PeernotesError):
    """Not there, or hidden from this caller: the two answer alike."""

    status, code = 404, "not-found"


class NotAllowed(PeernotesError):
    """The interaction does not exist for this resource type."""

    status, code = 405, "not-supported"


class NotAcceptable(PeernotesError):
    """The caller wants a format that we do not speak."""

    status, code = 406, "not-supported"


class Conflict(PeernotesError):
    """Same id with other content, or two writers at once."""

    status, code = 409, "conflict"


class Gone(PeernotesError):
    """Deleted, and it was visible to this caller."""

    status, code = 410, "deleted"


class StaleVersion(PeernotesError):
    """If-Match does not hold."""

    status, code = 412, "conflict"


class TooLarge(PeernotesError):
    """More bytes, depth or operations than we take at once."""

    status, code = 413, "too-long"


class UnsupportedMedia(PeernotesError):
    """The body's Content-Type is not one we read."""

    status, code = 415, "not-supported"


class Invalid(PeernotesError):
    """Well-formed, yet against a profile, a reference or a rule of the trade."""

    status, code = 422, "business-rule"


class Throttled(PeernotesError):
    """Too many requests; try again later."""

    status, code = 429, "throttled"


class Unavailable(PeernotesError):
    """The ledger or the database cannot take this now; nothing was disclosed or stored."""

    status, code = 503, "transient"


class KeysRefused(PeernotesError):
    """The keyring is missing, wrong or readable by others: refuse to start, write nothing."""


class SealBroken(PeernotesError):
    """A sealed row does not open: altered, moved or under another key. One uniform error."""

    def __init__(self) -> None:
        super().__init__("A stored record could not be opened; compliance has been told.")


class Tampered(PeernotesError):
    """The ledger contradicts itself or a checkpoint signed before."""
