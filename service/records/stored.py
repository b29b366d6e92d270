"""What the store hands out: a record as it stands, the outcome of a write, and who was touched."""

from dataclasses import dataclass

from service.vocabulary import Micros, PatientId


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of one record, opened. `body` is empty where that version is a deletion."""

    type: str
    id: str
    version: int
    updated: Micros
    patient: PatientId
    body: bytes
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """`created`: this id is new. `changed` is False where the same bytes had been stored before."""

    stored: Stored
    created: bool
    changed: bool


@dataclass(frozen=True, slots=True)
class Access:
    """One record an act read, or wrote: then `digest` is SHA-256 of the sealed bytes."""

    patient: PatientId
    type: str
    id: str
    version: int
    digest: bytes | None = None
