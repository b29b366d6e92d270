from hypothesis import given
from hypothesis import strategies as st

from service.keys.blind import Blind

BLIND = Blind(bytes(range(32)), "11111111-1111-4111-8111-111111111111")
words = st.text(max_size=8)
# Computed apart from the service, with hmac and RFC 5869 by hand.
STATUS = 183032263390403397
CODE = 4174036643878095040
MRN = "371402a517df6e28f79d8d3a757d66d71fa39cb74d2fa8a46a9cb8d874518a35"
token = st.tuples(st.one_of(st.none(), words), words, words, words, words)


@given(token, token)
def test_tokens_are_alike_only_when_every_part_is(one: tuple, other: tuple) -> None:
    assert (BLIND.token(*one) == BLIND.token(*other)) == (one == other)
    assert -(2**63) <= BLIND.token(*one) < 2**63


@given(words, words, words)
def test_identifiers_are_full_length_and_alike_only_when_every_part_is(
    type: str, system: str, value: str
) -> None:
    mine = BLIND.identifier(type, system, value)
    assert len(mine) == 32
    assert mine == BLIND.identifier(type, system, value)
    assert mine != BLIND.identifier(type, system, value + "x")
    assert mine != BLIND.identifier(type + "x", system, value)
    assert mine != BLIND.identifier(type, system + "x", value)


def test_the_same_code_hashes_differently_for_each_participant_key_and_tenant() -> None:
    same = ("Observation", "code", "http://loinc.org", "1234-5")
    hashes = {
        BLIND.token(None, *same),
        BLIND.token("a", *same),
        BLIND.token("b", *same),
        Blind(bytes(32), BLIND._tenant).token(None, *same),
        Blind(BLIND._index_key, "other").token(None, *same),
    }
    assert len(hashes) == 5


def test_a_digest_depends_on_its_purpose_and_shares_no_key_with_search() -> None:
    assert len(BLIND.digest("sync-operation", b"x")) == 32
    assert BLIND.digest("sync-operation", b"x") != BLIND.digest("etag", b"x")
    assert BLIND.digest("identifier", b"") != BLIND.identifier("Patient", "", "")


def test_known_answers_hold_so_that_stored_hashes_stay_findable() -> None:
    patient = "22222222-2222-4222-8222-222222222222"
    assert BLIND.token(None, "Encounter", "status", "", "finished") == STATUS
    assert BLIND.token(patient, "Condition", "code", "http://snomed.info/sct", "1") == CODE
    assert BLIND.identifier("Patient", "urn:mrn", "42").hex() == MRN
