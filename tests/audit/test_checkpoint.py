"""Checkpoints, notes, keys, policies and proof files: published vectors, and every wrong form."""

import json
from itertools import count
from pathlib import Path

import log_writer as logs
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from service.audit import checkpoint, tree
from service.audit.checkpoint import (
    Algorithm,
    Checkpoint,
    Policy,
    Proof,
    VerifierKey,
    decimal,
    decode64,
    encode64,
    open_note,
    open_signed,
    sign,
    split_note,
    witness,
)
from service.audit.tree import VerificationError

VECTORS = json.loads((Path(__file__).parent / "vectors_c2sp.json").read_text())
NOW = Checkpoint(logs.ORIGIN, 7, tree.leaf_hash(b"root"))
NOTE = sign(NOW, logs.KEY)
TEXT, LINE = NOTE.split("\n\n")
WITNESS_LINE = witness(NOW, logs.WITNESS, logs.WITNESS_SECRET, 1_773_324_000)


def each_of(*cases: object) -> pytest.MarkDecorator:
    """Cases by number: as names, broken texts would be unreadable."""
    return pytest.mark.parametrize("case", cases, ids=count())


STRANGER = Ed25519PrivateKey.from_private_bytes(b"stranger" * 4)


@pytest.mark.parametrize("case", VECTORS["notes"], ids=lambda case: case["vkey"][:20])
def test_published_notes_verify(case):
    key = VerifierKey.parse(case["vkey"])
    assert str(key) == case["vkey"]
    text, [(name, key_id, signature)] = split_note(case["note"])
    assert (name, key_id) == (key.name, key.id)
    assert key.verify(text, signature) is None
    with pytest.raises(VerificationError):
        key.verify(text.replace(" is ", " was "), signature)


def test_published_checkpoints_parse():
    for note in VECTORS["checkpoints"]:
        text, lines = split_note(note)
        parsed = Checkpoint.parse(text)
        assert parsed.text() == text
        assert len(lines) == note.count("— ")


@given(st.binary(max_size=60))
def test_base64_has_one_spelling(data):
    assert decode64(encode64(data)) == data


@each_of(
    "AB==", "AA=", "AA", "A", "A===", "AA==\n", " AA==", "AA==AA==", "_-8=", "\xe9", "A A=",
)  # fmt: skip
def test_base64_in_another_spelling_is_refused(case):
    with pytest.raises(VerificationError):
        decode64(case)


@each_of(
    "", "-1", "+1", "01", "00", "1 ", " 1", "1_0", "\u0663", "\xb2", "1.0", "9" * 19, "9" * 9_999,
)  # fmt: skip
def test_numbers_in_another_spelling_are_refused(case):
    with pytest.raises(VerificationError):
        decimal(case)


def test_a_checkpoint_opens_under_its_own_key():
    assert open_note(NOTE, [logs.LOG_KEY]) == NOW
    assert f"{logs.ORIGIN}\n7\n{encode64(NOW.root)}\n\n{LINE}" == NOTE
    assert VerifierKey.parse(str(logs.LOG_KEY)) == logs.LOG_KEY


def test_a_witness_states_when_it_saw_the_checkpoint():
    opened = open_signed(NOTE + WITNESS_LINE, [logs.LOG_KEY, logs.WITNESS_KEY])
    assert opened.checkpoint == NOW
    assert opened.signed == {logs.LOG_KEY: None, logs.WITNESS_KEY: 1_773_324_000}


def test_signatures_of_unknown_keys_are_ignored():
    lines = [
        VerifierKey.of(f"w{n}.example", Algorithm.WITNESS, STRANGER).line(b"?" * 72)
        for n in range(20)
    ]
    namesake = VerifierKey.of(logs.ORIGIN, Algorithm.LOG, STRANGER).line(b"?" * 64)
    assert open_note(NOTE + "".join(lines) + namesake, [logs.LOG_KEY]) == NOW


def test_a_known_key_that_fails_rejects_the_note():
    good, bad = LINE, logs.LOG_KEY.line(bytes(64))
    for lines in (bad, good + bad, bad + good, logs.LOG_KEY.line(b"short")):
        with pytest.raises(VerificationError):
            open_note(f"{TEXT}\n\n{lines}", [logs.LOG_KEY])
    failing = logs.WITNESS_KEY.line(bytes(72))
    with pytest.raises(VerificationError):
        open_note(NOTE + failing, [logs.LOG_KEY, logs.WITNESS_KEY])
    assert open_note(NOTE + failing, [logs.LOG_KEY]) == NOW


def test_only_the_key_named_as_the_origin_speaks_for_a_log():
    other = Checkpoint("other.example", 7, NOW.root)
    text = other.text()
    line = logs.LOG_KEY.line(logs.KEY.sign(text.encode()))
    with pytest.raises(VerificationError):
        open_note(f"{text}\n{line}", [logs.LOG_KEY])
    alone = f"{NOW.text()}\n{WITNESS_LINE}"
    with pytest.raises(VerificationError):
        open_note(alone, [logs.LOG_KEY, logs.WITNESS_KEY])


def test_a_log_key_and_a_witness_key_never_stand_in_for_each_other():
    as_witness = VerifierKey(logs.ORIGIN, Algorithm.WITNESS, logs.LOG_KEY.public)
    assert as_witness.id != logs.LOG_KEY.id
    with pytest.raises(VerificationError):
        open_note(NOTE, [as_witness])


@each_of(
        "", "\n", "\n\n", TEXT, f"{TEXT}\n", f"{TEXT}\n\n", NOTE[:-1], f"{NOTE}\n", f"{NOTE}x\n",
        NOTE.replace("\n", "\r\n"), NOTE.replace("\n7\n", "\n07\n"), NOTE.replace("— ", "- "),
        NOTE.replace("— ", "—"), NOTE.replace("\n7\n", "\n7\nextension\n"), f"\x00{NOTE}",
        NOTE.replace("\n7\n", "\n7\t\n"), f"\ud800{NOTE}", NOTE.replace("\n7\n", "\n\n7\n"),
        f"{TEXT}\n\n— {logs.ORIGIN} {encode64(logs.LOG_KEY.id)}\n", f"{TEXT}\n\n— x+y AAAAAAAA\n",
        f"{TEXT}\n\n—  AAAAAAAA\n", f"{NOTE}{'— w.example AAAAAAAA' + chr(10)}" * 2,
        NOTE + "— w.example AAAAAAAA\n" * 100, NOTE + "— w.example " + "A" * 1_000_000 + "\n",
)  # fmt: skip
def test_a_note_in_another_form_is_refused(case):
    with pytest.raises(VerificationError):
        open_note(case, [logs.LOG_KEY])


def signed(text: str) -> str:
    return f"{text}\n{logs.LOG_KEY.line(logs.KEY.sign(text.encode('utf-8')))}"


@each_of(
        f"{logs.ORIGIN}\n7\n", f"{logs.ORIGIN}\n7\n{encode64(NOW.root)}\nmore\n",
        f"{logs.ORIGIN}\n-7\n{encode64(NOW.root)}\n", f"{logs.ORIGIN}\n7\n{encode64(bytes(31))}\n",
        f"{logs.ORIGIN}\n0\n{encode64(NOW.root)}\n",
        f"{logs.ORIGIN}\n{2**63}\n{encode64(NOW.root)}\n",
        f"\n7\n{encode64(NOW.root)}\n", f"a b\n7\n{encode64(NOW.root)}\n",
        f"{logs.ORIGIN}\n7\n{encode64(NOW.root)[:-2]}x=\n",
)  # fmt: skip
def test_a_signed_text_that_is_no_checkpoint_is_refused(case):
    with pytest.raises(VerificationError):
        open_note(signed(case), [logs.LOG_KEY])


def test_an_empty_log_has_the_empty_root():
    empty = Checkpoint(logs.ORIGIN, 0, tree.EMPTY_ROOT)
    assert open_note(sign(empty, logs.KEY), [logs.LOG_KEY]) == empty


@each_of(
        lambda key: key.replace("+", ""), lambda key: key.upper(), lambda key: f"{key}=",
        lambda key: f"x{key}", lambda key: key[:-2], lambda key: f" {key}",
        lambda key: "+".join([*key.split("+")[:2], encode64(b"\x06" + logs.LOG_KEY.public)]),
        lambda key: "+".join([*key.split("+")[:2], encode64(b"\x01" + bytes(31))]),
        lambda key: "+".join([*key.split("+")[:2], encode64(b"\x01" + bytes(32))]),
)  # fmt: skip
def test_a_verifier_key_that_is_not_what_it_states_is_refused(case):
    with pytest.raises(VerificationError):
        VerifierKey.parse(case(str(logs.LOG_KEY)))


def test_the_witness_message_is_the_one_published():
    assert checkpoint.witness_message("text\n", 5) == b"cosignature/v1\ntime 5\ntext\n"


def secret(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"."))


def vkey(name: str) -> VerifierKey:
    return VerifierKey.of(f"{name}.example", Algorithm.WITNESS, secret(name))


def witnessed(*names: str) -> str:
    secrets = {
        each: Ed25519PrivateKey.from_private_bytes(each.encode().ljust(32, b".")) for each in names
    }
    return NOTE + "".join(
        witness(NOW, f"{each}.example", secret, 9) for each, secret in secrets.items()
    )


X_AND_Y = "\n".join(
    [
        "# as in the published example",
        f"log {logs.LOG_KEY} https://ledger.example/",
        *(f"\twitness {each}  {vkey(each)} \t" for each in ("x1", "x2", "x3", "y1", "y2")),
        f"witness y3 {vkey('y3')} https://y3.example/",
        "",
        "group X 2 x1 x2 x3",
        "group Y any y1 y2 y3",
        "group X-and-Y all X Y",
        "quorum X-and-Y",
        "",
    ]
)


@pytest.mark.parametrize(
    ("names", "enough"),
    [
        ((), False), (("x1", "x2"), False), (("y1",), False), (("x1", "y1"), False),
        (("x1", "x3", "y2"), True), (("x1", "x2", "x3", "y1", "y2", "y3"), True),
        (("y1", "y2", "y3", "x2"), False),
    ],
)  # fmt: skip
def test_a_quorum_counts_groups_within_groups(names, enough):
    policy = Policy.parse(X_AND_Y)
    if enough:
        assert policy.open(witnessed(*names)).checkpoint == NOW
    else:
        with pytest.raises(VerificationError):
            policy.open(witnessed(*names))


@each_of(
        "", "quorum nobody\n", "quorum none\nquorum none\n", "quorum none extra\n", "log\n",
        "group g any none\nquorum g\n", "group g any g\nquorum g\n", "group g any\nquorum none\n",
        f"log {vkey('x')}\nquorum none\n", f"witness w {logs.LOG_KEY}\nquorum w\n",
        f"quorum w\nwitness w {vkey('x')}\n", f"witness none {vkey('x')}\nquorum none\n",
        f"witness w {vkey('x')}\nwitness v {vkey('x')}\nquorum w\n",
        f"witness w {vkey('x')}\nwitness w {vkey('y')}\nquorum w\n",
        f"witness w {vkey('x')}\ngroup g 2 w\nquorum g\n",
        f"witness w {vkey('x')}\ngroup g 0 w\nquorum g\n",
        f"witness w {vkey('x')}\ngroup g 01 w\nquorum g\n",
        f"witness w {vkey('x')}\ngroup g any w w\nquorum g\n",
        f"witness w {vkey('x')}\ngroup g any w\ngroup h any w\nquorum g\n",
        f"witness w {vkey('x')}\ngroup w any w\nquorum w\n",
        f"log {logs.LOG_KEY}\nlog {logs.LOG_KEY}\nquorum none\n", "quorum none\x00\n",
        f"log {logs.LOG_KEY}\r\nquorum none\r\n", "Quorum none\n",
        f"log {logs.LOG_KEY} a b\nquorum none\n",
)  # fmt: skip
def test_a_policy_that_does_not_say_what_it_means_is_refused(case):
    with pytest.raises(VerificationError):
        Policy.parse(case)


def test_a_policy_without_witnesses_asks_for_the_log_alone():
    assert Policy.parse(logs.POLICY).open(NOTE).checkpoint == NOW
    with pytest.raises(VerificationError):
        Policy.parse("quorum none\n").open(NOTE)


ONE = Checkpoint(logs.ORIGIN, 2, tree.node_hash(tree.leaf_hash(b"a"), tree.leaf_hash(b"b")))
PROOF = Proof(1, (tree.leaf_hash(b"a"),), sign(ONE, logs.KEY))


def test_a_proof_file_says_and_proves_one_place():
    text = PROOF.text()
    assert text.startswith("c2sp.org/tlog-proof@v1\nindex 1\n")
    assert Proof.parse(text) == PROOF
    policy = Policy.parse(logs.POLICY)
    assert PROOF.verify(tree.leaf_hash(b"b"), policy) == ONE
    with_extra = text.replace("index", "extra AAAA\nindex")
    assert Proof.parse(with_extra) == PROOF
    with pytest.raises(VerificationError):
        PROOF.verify(tree.leaf_hash(b"a"), policy)


def test_the_only_entry_of_a_log_needs_no_hash():
    only = Checkpoint(logs.ORIGIN, 1, tree.leaf_hash(b"a"))
    proof = Proof(0, (), sign(only, logs.KEY))
    assert proof.text().startswith("c2sp.org/tlog-proof@v1\nindex 0\n\nledger.example")
    assert Proof.parse(proof.text()) == proof
    proof.verify(tree.leaf_hash(b"a"), Policy.parse(logs.POLICY))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@v1", "@v2"), ("index 1", "index 01"), ("index 1", "index -1"), ("index 1", "index"),
        ("index 1\n", ""), ("index 1\n", "index 1\nindex 1\n"), ("index 1\n", "index 1\n\n"),
        ("index 1", "extra\nindex 1"), ("index 1", "extra A\nindex 1"), ("index 1", "index 0"),
        ("index 1", "index 1\nextra AAAA"), ("c2sp.org", "\nc2sp.org"), ("=\n\n", "=\n"),
        ("=\n\n", "=\r\n\r\n"), ("=\n\n", "=\nAAAA\n\n"),
    ],
)  # fmt: skip
def test_a_proof_file_in_another_form_is_refused(old, new):
    text = PROOF.text().replace(old, new, 1)
    with pytest.raises(VerificationError):
        Proof.parse(text).verify(tree.leaf_hash(b"b"), Policy.parse(logs.POLICY))


@given(st.integers(0, len(PROOF.text()) - 1), st.characters(codec="utf-8"))
def test_no_altered_character_of_a_proof_file_is_taken(at, letter):
    text = PROOF.text()
    altered = text[:at] + letter + text[at + 1 :]
    if altered != text:
        with pytest.raises(VerificationError):
            Proof.parse(altered).verify(tree.leaf_hash(b"b"), Policy.parse(logs.POLICY))
