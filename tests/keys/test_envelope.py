import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from service.errors import SealBroken
from service.keys import envelope

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text())["records"]
KEY = AESGCM(bytes(range(32)))
CONTEXT = {
    "tenant": "11111111-1111-4111-8111-111111111111",
    "patient": "22222222-2222-4222-8222-222222222222",
    "place": "resource_version.body",
    "type": "Encounter",
    "id": "33333333-3333-4333-8333-333333333333",
    "version": 1,
    "key_no": 1,
}
parts = st.lists(st.one_of(st.binary(max_size=6), st.text(max_size=4).map(str.encode)), max_size=5)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["type"])
def test_known_sealed_bytes_open_and_are_made_again(
    vector: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, sealed = AESGCM(bytes.fromhex(vector["key"])), bytes.fromhex(vector["sealed"])
    context = {name: vector[name] for name in CONTEXT}
    aad = envelope.record_context(**context)
    assert len(aad) == vector["aad_length"]
    assert envelope.key_number(sealed) == vector["key_no"]
    assert envelope.open_sealed(key, sealed, aad).hex() == vector["body"]
    monkeypatch.setattr(envelope.os, "urandom", lambda _: sealed[5:17])
    assert envelope.seal(key, vector["key_no"], bytes.fromhex(vector["body"]), aad) == sealed


@given(parts, parts)
def test_two_lists_of_parts_never_share_their_bytes(one: list[bytes], other: list[bytes]) -> None:
    assert (envelope.lp(*one) == envelope.lp(*other)) == (one == other)


def test_parts_stand_after_their_length_and_text_is_utf_8() -> None:
    assert envelope.lp("a", b"\x00\x01", "é") == (
        b"\x00\x00\x00\x01a\x00\x00\x00\x02\x00\x01\x00\x00\x00\x02\xc3\xa9"
    )


@given(st.binary(max_size=300))
def test_a_sealed_body_is_33_bytes_longer_and_opens(body: bytes) -> None:
    sealed = envelope.seal(KEY, 7, body, b"aad")
    assert len(sealed) == len(body) + envelope.OVERHEAD == len(body) + 33
    assert envelope.key_number(sealed) == 7
    assert envelope.open_sealed(KEY, sealed, b"aad") == body


@given(st.binary(max_size=80), st.data())
def test_any_flipped_bit_breaks_the_seal(body: bytes, data: st.DataObject) -> None:
    aad = envelope.record_context(**CONTEXT)
    sealed = bytearray(envelope.seal(KEY, 1, body, aad))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealBroken):
        _open_as_the_service_does(bytes(sealed))


def test_every_byte_of_a_sealed_body_counts_and_none_may_be_missing() -> None:
    sealed = envelope.seal(KEY, 1, b"body", envelope.record_context(**CONTEXT))
    for cut in range(len(sealed)):
        with pytest.raises(SealBroken):
            _open_as_the_service_does(sealed[:cut])
    for other in (b"", b"{}", b'{"resourceType":"Encounter","status":"finished"}', sealed + b"\0"):
        with pytest.raises(SealBroken):
            _open_as_the_service_does(other)


def _open_as_the_service_does(sealed: bytes) -> bytes:
    number = envelope.key_number(sealed)
    return envelope.open_sealed(
        KEY, sealed, envelope.record_context(**(CONTEXT | {"key_no": number}))
    )


@given(
    st.sampled_from(sorted(CONTEXT)),
    st.one_of(st.text(st.characters(codec="ascii"), max_size=40), st.integers(0, 2**31)),
)
def test_any_altered_part_of_the_context_breaks_the_seal(name: str, value: str | int) -> None:
    if type(value) is not type(CONTEXT[name]) or value == CONTEXT[name]:
        value = CONTEXT[name] + ("x" if isinstance(CONTEXT[name], str) else 1)
    sealed = envelope.seal(KEY, 1, b"body", envelope.record_context(**CONTEXT))
    with pytest.raises(SealBroken):
        envelope.open_sealed(KEY, sealed, envelope.record_context(**(CONTEXT | {name: value})))


def test_another_form_breaks_the_seal() -> None:
    aad = envelope.record_context(**CONTEXT)
    sealed = envelope.seal(KEY, 1, b"body", aad)
    assert aad.endswith(b"\x00\x00\x00\x01\x00")
    with pytest.raises(SealBroken):
        envelope.open_sealed(KEY, sealed, aad[:-1] + b"\x01")


def test_a_wrapped_key_is_65_bytes_and_unwraps_under_its_number_alone() -> None:
    key, aad = envelope.new_key(), envelope.kek_context("t", 3, 2)
    wrapped = envelope.wrap(KEY, 2, key, aad)
    assert len(wrapped) == 65
    assert envelope.unwrap(KEY, 2, wrapped, aad) == key
    for number, context in ((3, aad), (2, envelope.kek_context("t", 3, 1))):
        with pytest.raises(SealBroken):
            envelope.unwrap(KEY, number, wrapped, context)


def test_a_sealed_body_of_another_length_is_no_key() -> None:
    with pytest.raises(SealBroken):
        envelope.unwrap(KEY, 2, envelope.seal(KEY, 2, bytes(16), b""), b"")


def test_what_does_not_open_says_nothing_about_why() -> None:
    with pytest.raises(SealBroken) as cut:
        envelope.open_sealed(KEY, b"short", b"")
    with pytest.raises(SealBroken) as wrong:
        envelope.open_sealed(KEY, envelope.seal(KEY, 1, b"body", b"a"), b"b")
    assert str(cut.value) == str(wrong.value)
    assert wrong.value.__cause__ is None
    assert wrong.value.__suppress_context__
