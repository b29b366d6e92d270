"""Merkle proofs for every small size against a tree written down naively, and published vectors."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.audit import tree
from service.audit.tree import Frontier, VerificationError

VECTORS = json.loads((Path(__file__).parent / "vectors_rfc6962.json").read_text())
SIZES = range(130)
HASHES = [tree.leaf_hash(b"leaf %d" % n) for n in SIZES]
OTHER = b"\xab" * 32


def naive_root(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return sha256(b"\x01" + naive_root(hashes[:k]) + naive_root(hashes[k:])).digest()


ROOTS = [naive_root(HASHES[:size]) for size in SIZES]


def node(level: int, index: int) -> bytes:
    hashes = HASHES[index << level : (index + 1) << level]
    assert len(hashes) == 1 << level, "only whole subtrees may be asked for"
    return naive_root(hashes)


def small_node(leaves: list[bytes]):
    hashes = [tree.leaf_hash(leaf) for leaf in leaves]
    return lambda level, index: naive_root(hashes[index << level : (index + 1) << level])


def test_published_roots_and_proofs_are_reproduced():
    leaves = [bytes.fromhex(leaf) for leaf in VECTORS["leaves"]]
    for size, root in enumerate(VECTORS["roots"]):
        assert tree.tree_root(size, small_node(leaves)).hex() == root
    for case in VECTORS["inclusion"]:
        proof = tree.inclusion_proof(case["index"], case["size"], small_node(leaves))
        assert [each.hex() for each in proof] == case["proof"]
        root = bytes.fromhex(VECTORS["roots"][case["size"]])
        leaf = tree.leaf_hash(leaves[case["index"]])
        tree.verify_inclusion(case["index"], case["size"], leaf, proof, root)
    for case in VECTORS["consistency"]:
        proof = tree.consistency_proof(case["old"], case["new"], small_node(leaves))
        assert [each.hex() for each in proof] == case["proof"]
        old, new = (bytes.fromhex(VECTORS["roots"][case[which]]) for which in ("old", "new"))
        tree.verify_consistency(case["old"], case["new"], old, new, proof)


def test_the_frontier_has_the_root_of_every_size():
    frontier = Frontier()
    for size in SIZES:
        assert frontier.size == size
        assert frontier.root() == ROOTS[size] == tree.tree_root(size, node)
        again = Frontier.from_bytes(size, frontier.to_bytes())
        assert again == frontier
        frontier.append(HASHES[size])


def test_a_frontier_of_another_size_is_refused():
    frontier = Frontier()
    for each in HASHES[:7]:
        frontier.append(each)
    for size in (-1, 0, 3, 8, 15):
        with pytest.raises(VerificationError):
            Frontier.from_bytes(size, frontier.to_bytes())


def test_every_leaf_of_every_size_has_a_proof():
    for size in SIZES:
        for index in range(size):
            proof = tree.inclusion_proof(index, size, node)
            tree.verify_inclusion(index, size, HASHES[index], proof, ROOTS[size])


def test_every_size_is_consistent_with_every_later_one():
    for new in SIZES:
        for old in range(new + 1):
            proof = tree.consistency_proof(old, new, node)
            tree.verify_consistency(old, new, ROOTS[old], ROOTS[new], proof)


def damaged(proof: list[bytes]) -> list[list[bytes]]:
    flipped = [
        [*proof[:at], bytes([proof[at][0] ^ 8]) + proof[at][1:], *proof[at + 1 :]]
        for at in range(len(proof))
    ]
    return [*flipped, [*proof, OTHER], [OTHER, *proof], [*proof, b""], proof[:-1], proof[1:]]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 11, 64, 100])
def test_a_damaged_inclusion_proof_is_refused(size):
    for index in range(size):
        proof = tree.inclusion_proof(index, size, node)
        claims = [(index, size, HASHES[index], bad, ROOTS[size]) for bad in damaged(proof)]
        claims += [
            (index, size, HASHES[index - 1] if size > 1 else OTHER, proof, ROOTS[size]),
            (index, size, HASHES[index], proof, OTHER),
            (index, size, HASHES[index][:31], proof, ROOTS[size]),
            (size, size, HASHES[index], proof, ROOTS[size]),
            (-1, size, HASHES[index], proof, ROOTS[size]),
            (index ^ 1, size, HASHES[index], proof, ROOTS[size]),
        ]
        for claim in claims:
            if claim[3] != proof or claim[:3] != (index, size, HASHES[index]) or claim[4] == OTHER:
                with pytest.raises(VerificationError):
                    tree.verify_inclusion(*claim)


@pytest.mark.parametrize(("old", "new"), [(1, 8), (6, 8), (2, 5), (6, 7), (64, 65), (65, 129)])
def test_a_damaged_consistency_proof_is_refused(old, new):
    proof = tree.consistency_proof(old, new, node)
    claims = [(old, new, ROOTS[old], ROOTS[new], bad) for bad in damaged(proof)]
    claims += [
        (old, new, ROOTS[new], ROOTS[old], proof),
        (old, new, OTHER, ROOTS[new], proof),
        (old, new, ROOTS[old], OTHER, proof),
        (new, old, ROOTS[new], ROOTS[old], proof),
        (0, new, ROOTS[old], ROOTS[new], proof),
        (old, new, ROOTS[old][:31], ROOTS[new], proof),
        (old, new, ROOTS[old], ROOTS[new], []),
    ]
    for claim in claims:
        with pytest.raises(VerificationError):
            tree.verify_consistency(*claim)


def test_equal_sizes_need_equal_roots_and_no_proof():
    tree.verify_consistency(5, 5, ROOTS[5], ROOTS[5], [])
    tree.verify_consistency(0, 5, tree.EMPTY_ROOT, ROOTS[5], [])
    for claim in (
        (5, 5, ROOTS[5], OTHER, []),
        (5, 5, ROOTS[5], ROOTS[5], [OTHER]),
        (0, 5, OTHER, ROOTS[5], []),
        (0, 5, tree.EMPTY_ROOT, ROOTS[5], [OTHER]),
        (0, 0, OTHER, OTHER, []),
    ):
        with pytest.raises(VerificationError):
            tree.verify_consistency(*claim)


@given(st.data())
def test_no_proof_holds_for_another_leaf(data):
    size = data.draw(st.integers(2, 129))
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1).filter(lambda each: each != index))
    proof = tree.inclusion_proof(index, size, node)
    with pytest.raises(VerificationError):
        tree.verify_inclusion(index, size, HASHES[other], proof, ROOTS[size])


def test_proofs_of_what_does_not_exist_are_not_made():
    for index, size in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(ValueError, match="no such leaf"):
            tree.inclusion_proof(index, size, node)
    for old, new in ((6, 5), (-1, 5)):
        with pytest.raises(ValueError, match="never shrinks"):
            tree.consistency_proof(old, new, node)
