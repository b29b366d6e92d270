"""Bytes to resource and back, exactly: decimals keep their digits, nothing is guessed or mended.

What a lenient parser lets pass is refused here, since two readers could understand it differently:
duplicate keys, U+0000, lone surrogates, empty objects and arrays, null outside arrays.
"""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NoReturn

import msgspec

from service.errors import Malformed, TooLarge
from service.vocabulary import Micros, ResourceId

SIZE_LIMIT = 5_000_000
DEPTH_LIMIT = 64
DIGITS_LIMIT = 40
EXPONENT_LIMIT = 100
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
SPACED_KEY = re.compile(rb'"[ \t\r\n]+:')

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


def parse(body: bytes, *, limit: int = SIZE_LIMIT) -> dict[str, Any]:
    """The JSON object in `body`; Malformed or TooLarge, and no other error, whatever the bytes."""
    if len(body) > limit:
        raise TooLarge(f"The body is larger than {limit} bytes.")
    try:
        resource = _decoder.decode(body)
    except RecursionError:
        _too_deep()
    except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError, ValueError):
        raise Malformed("The body is not JSON in UTF-8.") from None
    if not isinstance(resource, dict):
        raise Malformed("The body is not a JSON object.")
    if b"\\u0000" in body and NUL.search(body):
        raise Malformed("A string holds the character U+0000.")
    members = _inspect(resource)
    # `":` stands once per member, also inside some strings. Equal counts leave no room for a
    # duplicate, unless white space before a colon hid one; then, and only then, look properly.
    if body.count(b'":') != members or SPACED_KEY.search(body):
        _refuse_duplicates(body)
    return resource


def encode(resource: dict[str, Any]) -> bytes:
    """Compact JSON in the order given. A decimal keeps its digits, `1.50` stays `1.50`; below a
    millionth, and where it came with an exponent, it may be respelt (`1E-7`), never rounded.
    """
    return _encoder.encode(resource)


def stamp(resource: dict[str, Any], id: ResourceId, version: int, updated: Micros) -> bytes:
    """The bytes to store: as submitted, but id, meta.versionId and meta.lastUpdated are ours."""
    meta = resource.get("meta") or {}
    ours = {"versionId": str(version), "lastUpdated": instant(updated)}
    stamped = {"resourceType": resource["resourceType"], "id": id, "meta": ours}
    theirs = {name: v for name, v in meta.items() if name.lstrip("_") not in ours}
    for name, value in resource.items():
        if name not in stamped:
            stamped[name] = value
    stamped["meta"] = ours | theirs
    return encode(stamped)


def instant(at: Micros) -> str:
    """A FHIR instant in UTC with microseconds."""
    moment = EPOCH + timedelta(microseconds=at)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06}Z"


def _inspect(root: dict[str, Any]) -> int:
    """Counts members; refuses what FHIR's JSON has no meaning for. Level by level: no recursion."""
    members, depth = 0, 0
    level: list[Any] = [root]
    while level:
        depth += 1
        if depth > DEPTH_LIMIT:
            _too_deep()
        below: list[Any] = []
        for container in level:
            values = container
            if container.__class__ is dict:
                members += len(container)
                values = container.values()
            _look(container, values, below)
        level = below
    return members


def _look(container: Any, values: Iterable[Any], below: list[Any]) -> None:  # noqa: ANN401
    if not container:
        raise Malformed("An object or array is empty.")
    if values is not container and None in values:
        raise Malformed("A value is null outside an array.")
    for value in values:
        kind = value.__class__
        if kind is dict or kind is list:
            below.append(value)
        elif kind is Decimal or kind is int:
            _refuse_huge(value)


def _refuse_huge(number: Decimal | int) -> None:
    _, digits, exponent = Decimal(number).as_tuple()
    if len(digits) > DIGITS_LIMIT or abs(int(exponent)) > EXPONENT_LIMIT:
        raise Malformed("A number has more digits than we can keep exactly.")


def _refuse_duplicates(body: bytes) -> None:
    try:
        _strict.decode(body.decode())
    except (ValueError, ArithmeticError):
        raise Malformed("The body is not JSON in UTF-8.") from None
    except RecursionError:
        _too_deep()


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("A key stands twice in one object.")
    return found


def _too_deep() -> NoReturn:
    raise TooLarge(f"The body is nested deeper than {DEPTH_LIMIT} levels.")


_strict = json.JSONDecoder(object_pairs_hook=_members)
