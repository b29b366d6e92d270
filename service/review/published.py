"""The ledger as C2SP tiles, for any verifier, and health for the operator.

Hash tiles hold digests of leaves that hold random ids: anyone may have them. Entry bundles are the
leaves themselves: compliance only, and reading them is itself an entry.
"""

from fastapi import Response
from fastapi.routing import APIRouter

from service.audit import search, tiles
from service.audit.tree import VerificationError
from service.errors import Absent, Unavailable
from service.vocabulary import Action
from service.web import Caller, Gate

router = APIRouter(tags=["ledger"])
OCTETS = "application/octet-stream"
FOREVER = {"cache-control": "public, max-age=31536000, immutable"}


@router.get("/ledger/checkpoint")
def checkpoint(access: Gate) -> Response:
    with access.published() as connection:
        note = search.checkpoint(connection)
    if note is None:
        raise Unavailable("No checkpoint is signed yet: it is, one second after the first entry.")
    headers = {"cache-control": "no-store"}
    return Response(note, 200, headers, "text/plain; charset=utf-8")


@router.get("/ledger/tile/entries/{path:path}")
def entries(path: str, caller: Caller, access: Gate) -> Response:
    wanted = _tile(f"tile/entries/{path}")
    with access.permit(Action.AUDIT_PROOF, caller, type="AuditEvent") as act:
        content = search.bundle(act.connection, wanted.n, wanted.width)
        if content is None:
            raise Absent("There is no such tile.")
    return Response(content, 200, None, OCTETS)


@router.get("/ledger/tile/{path:path}")
def tile(path: str, access: Gate) -> Response:
    wanted = _tile(f"tile/{path}")
    with access.published() as connection:
        content = search.tile(connection, wanted.level, wanted.n, wanted.width)
    if content is None:
        raise Absent("There is no such tile.")
    return Response(content, 200, FOREVER, OCTETS)


def _tile(path: str) -> tiles.Tile:
    try:
        wanted = tiles.parse_path(path)
    except VerificationError:
        raise Absent("There is no such tile.") from None
    if wanted.n >= 1 << 55:  # beyond any tree's 2^63 leaves, and any database's whole numbers
        raise Absent("There is no such tile.")
    return wanted


@router.get("/healthz")
def alive() -> Response:
    """The process answers."""
    return Response('{"status":"alive"}', 200, None, "application/json")


@router.get("/readyz")
def ready(access: Gate) -> Response:
    """Reads and writes would be answered: the ledger takes entries and the tree keeps up."""
    if not access.healthy:
        raise Unavailable("The ledger cannot take entries.")
    with access.published() as connection:
        waiting = search.oldest_pending(connection)
    if waiting is not None and access.clock() - waiting > 60_000_000:  # noqa: PLR2004 (60 s)
        raise Unavailable("The ledger's sequencer is behind: check its process.")
    return Response('{"status":"ready"}', 200, None, "application/json")
