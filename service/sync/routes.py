"""The sync door: what tablets speak (tablet reference, sections 3 and 4). docs/sync.md shows it."""

import zlib
from datetime import UTC, datetime

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRouter

from service.errors import Malformed, TooLarge
from service.sync.operation import MOST_BYTES, MOST_OPERATIONS, read_batch
from service.sync.push import push
from service.web import Body, Caller, Gate

router = APIRouter(tags=["sync"])


@router.post("/push")
def push_operations(request: Request, caller: Caller, body: Body, access: Gate) -> Response:
    """200 whenever the batch could be read: the outcome of each operation is in `results`."""
    batch = read_batch(_inflated(body, request.headers.get("content-encoding", "")))
    if len(batch.operations) > MOST_OPERATIONS:
        raise TooLarge(f"At most {MOST_OPERATIONS} operations at once: halve the batch.")
    results = push(
        access, caller, batch.device, batch.operations, request.app.state.settings.sensitivities
    )
    now = datetime.fromtimestamp(access.clock() / 1_000_000, UTC)
    answer = {
        "results": results,
        "server_time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "directives": [],
    }
    return Response(msgspec.json.encode(answer), 200, None, "application/json")


def _inflated(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        try:
            stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
            body = stream.decompress(body, MOST_BYTES + 1)
        except zlib.error:
            raise Malformed("The batch does not unpack.") from None
    if len(body) > MOST_BYTES:
        raise TooLarge("At most 256 kB at once: halve the batch.")
    return body
