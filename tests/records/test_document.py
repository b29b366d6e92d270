"""Bytes to resource and back: exact, and no error but our own whatever arrives."""

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import Malformed, TooLarge
from service.records.document import DEPTH_LIMIT, encode, instant, parse, stamp
from service.vocabulary import Micros, ResourceId

ID = ResourceId("6f1c2b1e-0000-4000-8000-000000000001")
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))
NUMBERS = st.decimals(
    allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12
)
SCALARS = TEXT | st.booleans() | st.integers(-(2**53), 2**53) | NUMBERS
DOCUMENTS = st.dictionaries(
    TEXT,
    st.recursive(
        SCALARS,
        lambda inner: (
            st.lists(inner, min_size=1, max_size=4)
            | st.dictionaries(TEXT, inner, min_size=1, max_size=4)
        ),
        max_leaves=12,
    ),
    min_size=1,
)


@settings(max_examples=40)
@given(DOCUMENTS)
def test_what_is_encoded_parses_to_the_same(document: dict[str, Any]) -> None:
    assert parse(encode(document)) == document


@settings(max_examples=40)
@given(DOCUMENTS)
def test_white_space_makes_no_difference(document: dict[str, Any]) -> None:
    spread = json.dumps(json.loads(encode(document)), indent=1, separators=(" ,", "\t: "))
    assert parse(spread.encode()) == json.loads(spread, parse_float=Decimal)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-10, max_value=10))
def test_decimals_keep_every_digit(number: Decimal) -> None:
    body = b'{"value":%s}' % f"{number:f}".encode()
    again = parse(encode(parse(body)))["value"]
    assert Decimal(again).as_tuple() == number.as_tuple()


@pytest.mark.parametrize("text", ["1.00", "0.10", "-3.50", "100.0", "1", "12.3400", "0.000001"])
def test_a_decimal_leaves_as_it_came(text: str) -> None:
    assert encode(parse(b'{"value":%s}' % text.encode())) == b'{"value":%s}' % text.encode()


@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_our_errors(body: bytes) -> None:
    with suppress(Malformed, TooLarge):
        parse(body)


@settings(max_examples=40)
@given(DOCUMENTS, st.data())
def test_damaged_json_raises_nothing_but_our_errors(
    document: dict[str, Any], data: st.DataObject
) -> None:
    body = bytearray(encode(document))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at : at + 1] = data.draw(st.binary(max_size=3) | st.sampled_from([b"{", b'"', b"\\u"]))
    with suppress(Malformed, TooLarge):
        parse(bytes(body))


@settings(max_examples=40)
@given(DOCUMENTS, st.data())
def test_a_second_key_is_found_wherever_it_hides(
    document: dict[str, Any], data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from(sorted(document)))
    spelt = "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else c for c in key)
    name = data.draw(st.sampled_from([json.dumps(key), f'"{spelt}"']))
    gap = data.draw(st.sampled_from(["", " ", "\n\t"]))
    body = encode(document)[:-1] + f",{name}{gap}:1}}".encode()
    with pytest.raises(Malformed, match="twice"):
        parse(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[1]",
        b'"text"',
        b"{}",
        b'{"a":{}}',
        b'{"a":[]}',
        b'{"a":[[]]}',
        b'{"a":[{}]}',
        b'{"a":null}',
        b'{"a":[{"b":null}]}',
        b'{"a":1,"a":1}',
        b'{"b":[{"a":1,"a":2}]}',
        b'{"a":":","a":":"}',
        b'{"a":"\\u0000"}',
        b'{"a":"\\\\\\u0000"}',
        b'{"\\u0000":1}',
        b'{"a":"\x00"}',
        b'{"a":"\x1f"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\udc00 later"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xff"}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":01}',
        b'{"a":1e999999}',
        b'{"a":1e99999999999999999999}',
        b'{"a":%s}' % (b"9" * 5000),
        b'{"a":0.%s}' % (b"1" * 100),
        b'{"a":1}{"b":1}',
    ],
)
def test_what_no_fhir_json_holds_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        parse(body)
    assert refused.value.__cause__ is None
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "body", [b'{"a":"\\\\u0000"}', b'{"a":"\\":"}', b'{"a":[null,"b"]}', b'{"a":"\\ud83d\\ude00"}']
)
def test_what_only_looks_wrong_is_taken(body: bytes) -> None:
    assert encode(parse(body))


def test_no_depth_exhausts_the_stack() -> None:
    for depth in (DEPTH_LIMIT + 1, 900, 5_000, 500_000):
        for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
            nested = opening * depth + b"1" + closing * depth
            with pytest.raises(TooLarge):
                parse(b'{"a":' + nested + b"}")
    with pytest.raises(TooLarge):
        parse(b'{"a" : ' + b'{"a" : ' * 500_000)


def test_the_size_limit_is_exact() -> None:
    assert parse(b'{"a":1}', limit=7)
    with pytest.raises(TooLarge):
        parse(b'{"a":1}', limit=6)


def test_a_message_never_repeats_what_was_sent() -> None:
    for body in (b'{"a":"Maria Secret","a":1}', b'{"Maria Secret":null}', b'{"Maria Secret":{}}'):
        with pytest.raises(Malformed) as refused:
            parse(body)
        assert "Maria" not in str(refused.value) + str(refused.value.issues)


def test_a_stamp_sets_what_is_ours_and_keeps_the_rest() -> None:
    submitted = parse(
        b'{"id":"theirs","meta":{"versionId":"9","_versionId":{"id":"x"},"tag":[{"code":"t"}],'
        b'"lastUpdated":"1999-01-01T00:00:00Z"},"resourceType":"Observation","value":1.50}'
    )
    assert (
        stamp(submitted, ID, 3, Micros(1_773_324_000_000_042))
        == (
            b'{"resourceType":"Observation","id":"%s","meta":{"versionId":"3",'
            b'"lastUpdated":"2026-03-12T14:00:00.000042Z","tag":[{"code":"t"}]},"value":1.50}'
        )
        % ID.encode()
    )
    assert submitted["id"] == "theirs"


def test_a_resource_without_meta_gets_one() -> None:
    stamped = parse(stamp({"resourceType": "Flag"}, ID, 1, Micros(0)))
    assert list(stamped) == ["resourceType", "id", "meta"]
    assert stamped["meta"]["lastUpdated"] == instant(Micros(0)) == "1970-01-01T00:00:00.000000Z"
