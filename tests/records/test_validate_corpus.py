"""Published data passes: synthetic people, HL7's examples. What is refused is refused by name.

PEERNOTES_WHOLE_CORPUS=1 reads every line instead of the first of each file.
"""

import gzip
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from service.errors import PeernotesError
from service.records.document import encode, parse
from service.records.validate import validate
from service.vocabulary import STORED_TYPES

LINES = None if os.environ.get("PEERNOTES_WHOLE_CORPUS") else 60
EXAMPLES = ("fhir_r4_core/consent-*.json", "fhir_r4_core/auditevent-*.json", "balp/ex-*.json",
            "pcf/resources/*-ex-*.json")  # fmt: skip
REFUSED = {
    # A relative image would be fetched from whoever serves the page.
    "consent-example-pkb.json": "Consent.text.div",
    # `[]` and `{}` left behind by a conversion.
    "Provenance-ex-provenance-consent-basic-treat.json": None,
    "Provenance-ex-provenance2-consent-basic-treat.json": None,
}


def lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        yield from islice((line for line in file if line.strip()), LINES)


def test_every_line_of_synthetic_people_is_valid(data: Path) -> None:
    seen = set()
    for path in sorted((data / "synthea").rglob("*.ndjson*")):
        kind = path.name.partition(".")[0]
        if kind not in STORED_TYPES:
            continue
        seen.add(kind)
        for number, line in enumerate(lines(path)):
            resource = parse(line)
            try:
                validate(resource)
            except PeernotesError as error:
                pytest.fail(f"{path.name} line {number}: {error.issues}")
            assert parse(encode(resource)) == resource
    assert len(seen) == 10


def test_published_examples_are_valid(data: Path) -> None:
    refused = {}
    paths = [path for pattern in EXAMPLES for path in (data / "consent").glob(pattern)]
    for path in paths:
        try:
            validate(parse(path.read_bytes()))
        except PeernotesError as error:
            refused[path.name] = error.issues[0].expression
    assert len(paths) > 60
    assert refused == REFUSED


def test_a_type_we_do_not_keep_is_refused_by_name(data: Path) -> None:
    line = next(lines(data / "synthea" / "ten" / "Immunization.000.ndjson"))
    with pytest.raises(PeernotesError) as refused:
        validate(parse(line))
    assert refused.value.issues[0].code == "not-supported"
