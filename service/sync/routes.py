"""The sync door: what tablets speak (tablet reference, sections 3 and 4). docs/sync.md shows it."""

import zlib
from datetime import UTC, datetime

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRouter

from service.errors import Malformed, TooLarge, UnsupportedMedia
from service.sync.operation import MOST_BYTES, MOST_OPERATIONS, read_batch
from service.sync.push import push
from service.web import Body, Caller, Claimed, Gate

router = APIRouter(tags=["sync"])


@router.post("/push")
def push_operations(
    request: Request, caller: Caller, body: Body, access: Gate, purpose: Claimed
) -> Response:
    """200 whenever the batch could be read: the outcome of each operation is in `results`."""
    batch = read_batch(_inflated(body, request.headers.get("content-encoding", "")))
    if len(batch.operations) > MOST_OPERATIONS:
        raise TooLarge(f"At most {MOST_OPERATIONS} operations at once: halve the batch.")
    results = push(
        access, caller, batch.device, batch.operations,
        request.app.state.settings.sensitivities, purpose,
    )  # fmt: skip
    now = datetime.fromtimestamp(access.clock() / 1_000_000, UTC)
    answer = {
        "results": results,
        "server_time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "directives": [],
    }
    return Response(msgspec.json.encode(answer), 200, None, "application/json")


def _inflated(body: bytes, encoding: str) -> bytes:
    if len(body) > MOST_BYTES:
        raise TooLarge("At most 256 kB at once: halve the batch.")
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise UnsupportedMedia("A batch comes as it is, or packed with gzip.")
    stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        unpacked = stream.decompress(body, MOST_BYTES + 1)  # a bomb unfolds no further than this
    except zlib.error:
        raise Malformed("The batch does not unpack.") from None
    if len(unpacked) > MOST_BYTES:
        raise TooLarge("At most 256 kB at once: halve the batch.")
    if not stream.eof or stream.unused_data:
        raise Malformed("The batch does not unpack.")
    return unpacked
