"""A leaf is RFC 8785 canonical JSON, reads back as the entry it was, and has one spelling."""

import json
from enum import StrEnum
from uuid import UUID

import pytest
from hands import Make
from hypothesis import given
from hypothesis import strategies as st

from service.audit.entry import (
    MOST_BYTES,
    MOST_NUMBER,
    ORIGIN,
    Commitment,
    Entry,
    Kind,
    Outcome,
    Position,
    Touched,
    canonical,
    parse,
    place,
)
from service.errors import Malformed, Tampered
from service.vocabulary import Action, EntryId, Micros, PatientId

printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)
number = st.integers(0, MOST_NUMBER)
digest = st.binary(min_size=32, max_size=32)
ids = st.uuids().map(str)
touched = st.builds(
    Touched, st.sampled_from(["Encounter", "DocumentReference"]), ids, number, st.none() | digest
)
entries = st.builds(
    Entry,
    id=ids.map(EntryId), at=number.map(Micros), kind=st.sampled_from(Kind),
    action=st.sampled_from(Action), outcome=st.sampled_from(Outcome), act=ids, agent=printable,
    client=printable, role=printable, organisation=printable, purpose=printable,
    patient=st.none() | ids.map(PatientId), touched=st.lists(touched, max_size=4).map(tuple),
    basis=printable, reason=printable, resource_type=printable,
    commitments=st.dictionaries(printable, digest, max_size=3).map(
        lambda d: tuple(Commitment(f, d[f]) for f in sorted(d))
    ),
    details=st.dictionaries(printable, printable | number, max_size=3).map(
        lambda d: tuple(sorted(d.items(), key=lambda item: item[0]))
    ),
)  # fmt: skip
positions = st.none() | st.builds(Position, st.uuids(version=4).map(str), number, digest)


@given(entries, positions)
def test_a_leaf_reads_back_as_the_entry_it_was(entry: Entry, position: Position | None) -> None:
    leaf = canonical(entry, position)
    assert parse(leaf) == (entry, position)
    assert place(leaf) == (entry.kind, position)


@given(entries, positions)
def test_a_leaf_is_what_rfc_8785_says(entry: Entry, position: Position | None) -> None:
    """For printable ASCII and whole numbers, sorted and tight JSON is the canonical form."""
    leaf = canonical(entry, position)
    again = json.dumps(json.loads(leaf), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert leaf == again.encode()


@given(entries, st.data())
def test_another_spelling_of_a_leaf_is_refused(entry: Entry, data: st.DataObject) -> None:
    leaf = canonical(entry)
    value = json.loads(leaf)
    other = data.draw(
        st.sampled_from(
            [
                json.dumps(value).encode(),
                json.dumps(dict(reversed(value.items())), separators=(",", ":")).encode(),
                leaf[:-1] + b',"x":1}',
                leaf.replace(b'"v":1', b'"v":2'),
                leaf.replace(b'"v":1', b'"v":1,"v":1'),
                leaf + b"\n",
                leaf[:-1],
                leaf.replace(b'"at":', b'"at":0'),
                leaf[:1] + b'"basis":"",' + leaf[1:],
            ]
        )
    )
    with pytest.raises(Tampered):
        parse(other)


@pytest.mark.parametrize(
    "text",
    ["line\nbreak", "nul\0", "caf\u00e9", "\U0001f600", "\x7f", "tab\t", "\x1b[0m", "\u2028"],
)
@pytest.mark.parametrize("member", ["agent", "client", "role", "purpose", "basis", "reason"])
def test_what_is_not_printable_ascii_is_refused(make: Make, member: str, text: str) -> None:
    with pytest.raises(Malformed):
        canonical(make(**{member: text}))


def test_quotation_marks_and_backslashes_are_kept(make: Make) -> None:
    entry = make(agent='a "quoted\\" one', reason="\\n is not a newline \\\\n")
    assert parse(canonical(entry))[0] == entry


@pytest.mark.parametrize("at", [-1, MOST_NUMBER + 1, 2**64])
def test_numbers_other_readers_would_round_are_refused(make: Make, at: int) -> None:
    with pytest.raises(Malformed):
        canonical(make(at=at))
    with pytest.raises(Malformed):
        canonical(make(), Position(str(UUID(int=1)), at, ORIGIN))
    with pytest.raises(Malformed):
        canonical(make(touched=(Touched("Encounter", str(UUID(int=1)), at),)))


def test_an_entry_too_long_for_a_bundle_is_refused(make: Make) -> None:
    with pytest.raises(Malformed):
        canonical(make(reason="x" * MOST_BYTES))


@pytest.mark.parametrize(
    "record", [Touched("Enc/x", "1", 1), Touched("X", "1/2", 1), Touched("X", "1 2", 1)]
)
def test_records_are_named_so_that_they_read_back(make: Make, record: Touched) -> None:
    with pytest.raises(Malformed):
        canonical(make(touched=(record,)))


def test_a_usual_leaf_is_small(make: Make) -> None:
    position = Position(str(UUID(int=1)), 12_345, bytes(32))
    assert len(canonical(make(), position)) < 600


class Word(StrEnum):
    NONE = ""


def test_an_empty_word_of_an_enumeration_is_spelt_like_an_empty_text(make: Make) -> None:
    entry = make(basis=Word.NONE, role=Word.NONE, purpose=Word.NONE)
    assert parse(canonical(entry))[0] == entry
