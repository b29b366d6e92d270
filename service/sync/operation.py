"""The wire form of an operation (tablet reference, section 2): frozen, hashed, one intent each."""

import hashlib
import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from service.errors import Malformed
from service.vocabulary import ResourceId

MOST_OPERATIONS = 50
MOST_BYTES = 256 * 1024
SCHEMA = 1
OLDEST_SCHEMA = 1
MOST_NUMBER = 2**53 - 1
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Entity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    id: str


class Operation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`sha256` covers every other field, as canonical JSON; floats do not occur."""

    op_id: str
    type: str
    schema: int
    entity: Entity
    seq: int
    device_id: str
    user_id: str
    occurred: dict[str, Any]
    created_at_device: str
    clock_offset_ms: int
    payload: dict[str, Any]
    sha256: str
    base_version: int | None = None
    depends_on: list[str] = []


@dataclass(frozen=True, slots=True)
class Batch:
    """Operations in the tablet's order; one that cannot be read is kept as its raw parts."""

    device: ResourceId
    app_version: str
    operations: tuple[dict[str, Any], ...]


def read_batch(body: bytes) -> Batch:
    """Raises Malformed when the batch as a whole cannot be read: then ops are sent one by one."""
    try:
        raw = msgspec.json.decode(body)
        device, version, operations = raw["device"], raw["app_version"], raw["ops"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, RecursionError):
        raise Malformed("The batch cannot be read: send its operations one by one.") from None
    if not isinstance(operations, list) or not all(isinstance(op, dict) for op in operations):
        raise Malformed("`ops` is a list of operations.")
    if not isinstance(version, str) or not is_uuid(device):
        raise Malformed("`device` is a UUID and `app_version` a text.")
    return Batch(ResourceId(device), version, tuple(operations))


def is_op_id(value: object) -> bool:
    return isinstance(value, str) and UUID7.fullmatch(value) is not None


def is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value
    except ValueError:
        return False


def digest(raw: dict[str, Any]) -> str | None:
    """SHA-256 over canonical JSON (UTF-8, sorted keys, no spaces) of all fields but `sha256`.

    None for what has no canonical form: a whole number beyond 64 bits.
    """
    covered = {name: value for name, value in raw.items() if name != "sha256"}
    try:
        return hashlib.sha256(msgspec.json.encode(covered, order="sorted")).hexdigest()
    except (OverflowError, RecursionError):
        return None
