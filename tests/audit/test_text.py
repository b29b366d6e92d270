"""Free text is committed to, not logged; removing it changes no proof."""

import pytest
from hands import PATIENT, Log, Make
from hypothesis import given
from hypothesis import strategies as st

from service.audit import search, text
from service.audit.entry import Commitment, canonical
from service.errors import Tampered


@given(st.text(), st.text())
def test_a_text_opens_to_what_was_committed_and_to_nothing_else(field: str, value: str) -> None:
    commitment, plain = text.commit(field, value)
    assert text.opened(commitment, plain) == value
    for other in (plain + b"x", plain[:-1], b"x" + plain):
        with pytest.raises(Tampered):
            text.opened(commitment, other)
    with pytest.raises(Tampered):
        text.opened(Commitment(field + "x", commitment.digest), plain)


def test_equal_texts_do_not_show_as_equal() -> None:
    assert text.commit("reason", "same")[0] != text.commit("reason", "same")[0]


def test_a_redacted_text_is_gone_and_its_proof_holds(log: Log, make: Make) -> None:
    commitment, plain = text.commit("reason", "her sister asked")
    entry = make(commitments=(commitment,))
    log.write(entry)
    with log.opener.write() as connection:
        text.keep(connection, entry.id, "reason", PATIENT, plain)
    log.sign()
    with log.opener.read() as connection:
        assert text.held(connection, entry.id, "reason") == plain
        before = search.proof(connection, entry.id)
    with log.opener.write() as connection:
        assert text.redact(connection, entry.id, "reason")
        assert not text.redact(connection, entry.id, "reason")
    with log.opener.read() as connection:
        assert text.held(connection, entry.id, "reason") is None
        assert search.proof(connection, entry.id) == before
        assert search.leaf(connection, entry.id) == canonical(entry)
    assert b"sister" not in canonical(entry)
