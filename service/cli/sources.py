"""What an export directory holds, line by line, in the order in which records refer to each other.

NDJSON, plain or gzipped, one resource a line; JSON files with a Bundle or one resource. A Bundle's
entries count as its lines, and names that hold only within it (`urn:uuid:`) become literal.
"""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from service.cli.names import Names, renamed
from service.errors import PeernotesError
from service.records.document import encode, parse

ORDER = (
    "Organization", "Location", "Practitioner", "PractitionerRole", "Questionnaire", "Patient",
    "RelatedPerson", "CareTeam", "Encounter", "Condition", "Goal", "CarePlan", "ServiceRequest",
    "Observation", "QuestionnaireResponse", "DocumentReference", "Binary", "Communication", "Flag",
    "Task", "Provenance", "Consent",
)  # fmt: skip
"""Referenced types come first."""
LARGEST_BUNDLE = 512 * 1024 * 1024
URN = "urn:uuid:"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One resource as it came. `place` counts lines from 0, `number` is what a reader would say."""

    file: str
    place: int
    number: int
    body: bytes


class Unreadable(Exception):
    """A file ends too early, is no gzip file, or may not be read: why, in words for the report."""


def files(directory: Path) -> list[Path]:
    """Every file of an export under a directory, in the order of loading."""
    found = (
        path
        for path in directory.rglob("*")
        if path.name.endswith((".ndjson", ".ndjson.gz", ".json")) and path.is_file()
    )
    return sorted(found, key=lambda path: (rank(path.name.split(".")[0]), str(path)))


def rank(type_: object) -> int:
    return ORDER.index(type_) if type_ in ORDER else len(ORDER)


def lines(path: Path, name: str) -> Iterator[Line]:
    """The lines of one file; Unreadable where it goes no further."""
    try:
        bodies = _document(path.read_bytes()) if path.suffix == ".json" else _ndjson(path)
        for place, (number, body) in enumerate(bodies):
            yield Line(name, place, number, body)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise Unreadable("The gzip file is damaged or cut short: export it again.") from None
    except OSError as error:
        raise Unreadable(f"The file cannot be read ({type(error).__name__}).") from None


def _ndjson(path: Path) -> Iterator[tuple[int, bytes]]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for number, body in enumerate(file, start=1):
            if body.strip():
                yield number, body


def _document(body: bytes) -> Iterator[tuple[int, bytes]]:
    try:
        document = parse(body, limit=LARGEST_BUNDLE)
    except PeernotesError as error:
        raise Unreadable(str(error)) from None
    if document.get("resourceType") != "Bundle":
        yield 1, body
        return
    entries = document.get("entry", [])
    if not isinstance(entries, list):
        raise Unreadable("The Bundle's entries are no list.")
    whole = [(n, entry) for n, entry in enumerate(entries, start=1) if _resource(entry)]
    names = dict(pair for _, entry in whole if (pair := _named(entry)))
    for number, entry in sorted(whole, key=lambda one: rank(entry_type(one[1]))):
        yield number, encode(renamed(entry["resource"], Names(names).get))


def _resource(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("resource"), dict)


def entry_type(entry: Json) -> object:
    return entry["resource"].get("resourceType")


def _named(entry: Json) -> tuple[str, str] | None:
    """What an entry is called within its Bundle, and what it is called here.

    An entry that is to be created comes without an id; its own UUID serves, so that loading the
    Bundle twice stores it once.
    """
    url, resource = entry.get("fullUrl"), entry["resource"]
    if not isinstance(url, str):
        return None
    if url.startswith(URN) and "id" not in resource:
        try:
            resource["id"] = str(UUID(url.removeprefix(URN)))
        except ValueError:
            return None
    return url, f"{entry_type(entry)}/{resource.get('id')}"
