"""The Merkle tree of RFC 6962 and RFC 9162: hashes, proofs and how to check them; no storage.

A *node* function stands for whatever holds the tree: `node(level, index)` is the root of the
perfect subtree of `2**level` leaves that begins at leaf `index << level`. C2SP tlog-tiles (v0.1.0)
keeps such a tree in tiles 256 hashes wide. Their addresses are here because the verifier is this
file, checkpoint.py and verify.py, copied alone.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Self

HASH_SIZE = 32
TILE_WIDTH = 256
TILE_HEIGHT = 8
TOP_LEVEL = 63
EMPTY_ROOT = sha256(b"").digest()

Node = Callable[[int, int], bytes]


class VerificationError(Exception):
    """What was shown contradicts what was signed, or is not in the form that is signed."""


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def fold(hashes: bytes) -> bytes:
    """The root over a power of two of hashes, joined: a full tile's hash one level up."""
    while len(hashes) > HASH_SIZE:
        hashes = b"".join(
            [
                sha256(b"\x01" + hashes[at : at + 2 * HASH_SIZE]).digest()
                for at in range(0, len(hashes), 2 * HASH_SIZE)
            ]
        )
    return hashes


def join(subtrees: Iterable[bytes]) -> bytes:
    """The root over perfect subtrees, largest first: they nest to the right."""
    stack = list(subtrees)
    if not stack:
        return EMPTY_ROOT
    root = stack.pop()
    while stack:
        root = node_hash(stack.pop(), root)
    return root


@dataclass(slots=True)
class Frontier:
    """The least that is needed to append: roots of the perfect subtrees, left to right."""

    size: int = 0
    hashes: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> None:
        """Take one more leaf hash; each trailing 1 bit of the size is a subtree it completes."""
        filled = self.size
        while filled & 1:
            leaf = node_hash(self.hashes.pop(), leaf)
            filled >>= 1
        self.hashes.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        return join(self.hashes)

    def to_bytes(self) -> bytes:
        return b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Self:
        if size < 0 or len(data) != HASH_SIZE * size.bit_count():
            raise VerificationError("the frontier does not belong to a tree of this size")
        return cls(size, [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)])


def root_over(whole: Frontier, tail: bytes) -> bytes:
    """The root when `tail`, leaf hashes joined, follows a tree whose leaves are full tiles."""
    rest = Frontier()
    for at in range(0, len(tail), HASH_SIZE):
        rest.append(tail[at : at + HASH_SIZE])
    return join([*whole.hashes, *rest.hashes])


# --- making proofs: RFC 6962, section 2.1 -------------------------------------------------------


def split(size: int) -> int:
    """The largest power of two smaller than `size`: where a tree divides."""
    return 1 << (size - 1).bit_length() - 1


def range_root(low: int, high: int, node: Node) -> bytes:
    """MTH(D[low:high]), for a range that splitting the tree leads to."""
    subtrees = []
    while low < high:
        level = (high - low).bit_length() - 1
        subtrees.append(node(level, low >> level))
        low += 1 << level
    return join(subtrees)


def tree_root(size: int, node: Node) -> bytes:
    return range_root(0, size, node)


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """PATH(index, D[size]): the siblings from the leaf's up to the root's child."""
    if not 0 <= index < size:
        raise ValueError("the tree has no such leaf")
    path = []
    low, high = 0, size
    while high - low > 1:
        middle = low + split(high - low)
        if index < middle:
            path.append(range_root(middle, high, node))
            high = middle
        else:
            path.append(range_root(low, middle, node))
            low = middle
    return path[::-1]


def consistency_proof(old: int, new: int, node: Node) -> list[bytes]:
    """PROOF(old, D[new]); empty from size 0 and between equal sizes."""
    if not 0 <= old <= new:
        raise ValueError("a tree never shrinks")
    if old in (0, new):
        return []
    path = []
    low, high = 0, new
    while high != old:
        middle = low + split(high - low)
        if old <= middle:
            path.append(range_root(middle, high, node))
            high = middle
        else:
            path.append(range_root(low, middle, node))
            low = middle
    if low:
        path.append(range_root(low, high, node))
    return path[::-1]


# --- checking proofs: RFC 9162, sections 2.1.3.2 and 2.1.4.2 ------------------------------------


def verify_inclusion(
    index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """The leaf hash `leaf` stands at `index` under `root`, or VerificationError."""
    if not 0 <= index < size:
        raise VerificationError("the index lies outside the tree")
    if any(len(each) != HASH_SIZE for each in (leaf, root, *proof)):
        raise VerificationError("a hash of the inclusion proof is not 32 bytes")
    at, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise VerificationError("the inclusion proof is too long")
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise VerificationError("the inclusion proof is too short")
    if found != root:
        raise VerificationError("the inclusion proof leads to another root")


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """The tree under `new_root` begins with the tree under `old_root`, or VerificationError."""
    if not 0 <= old <= new:
        raise VerificationError("the tree has shrunk")
    if any(len(each) != HASH_SIZE for each in (old_root, new_root, *proof)):
        raise VerificationError("a hash of the consistency proof is not 32 bytes")
    if old in (0, new):
        if proof:
            raise VerificationError("the consistency proof is too long")
        if old_root != (new_root if old else EMPTY_ROOT) or (new == 0 and new_root != EMPTY_ROOT):
            raise VerificationError("two roots are claimed for one size")
        return
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        raise VerificationError("the consistency proof is too short")
    if climb(old, new, path) != (old_root, new_root):
        raise VerificationError("the consistency proof leads to other roots")


def climb(old: int, new: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Both roots that a consistency path, completed with its first hash, leads to."""
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old_found = new_found = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise VerificationError("the consistency proof is too long")
        if at & 1 or at == last:
            old_found = node_hash(sibling, old_found)
            new_found = node_hash(sibling, new_found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new_found = node_hash(new_found, sibling)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise VerificationError("the consistency proof is too short")
    return old_found, new_found


# --- where C2SP tlog-tiles keeps the hashes and the entries -------------------------------------


def tile_path(level: int, n: int, width: int = TILE_WIDTH) -> str:
    if not 0 <= level <= TOP_LEVEL:
        raise ValueError("tile levels are 0 to 63")
    return f"tile/{level}/{_digits(n, width)}"


def bundle_path(n: int, width: int = TILE_WIDTH) -> str:
    return f"tile/entries/{_digits(n, width)}"


def _digits(n: int, width: int) -> str:
    """Groups of three digits, all but the last with `x`: 1234067 is x001/x234/067."""
    if n < 0 or not 1 <= width <= TILE_WIDTH:
        raise ValueError("a tile has a number from 0 and a width of 1 to 256")
    text = f"{n % 1000:03}"
    while n := n // 1000:
        text = f"x{n % 1000:03}/{text}"
    return text if width == TILE_WIDTH else f"{text}.p/{width}"


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """The entries of a bundle, each behind its length in two bytes."""
    leaves = []
    at, end = 0, len(data)
    while at + 2 <= end:
        start = at + 2
        at = start + (data[start - 2] << 8 | data[start - 1])
        leaves.append(data[start:at])
    if at != end or len(leaves) != width:
        raise VerificationError("the entry bundle is cut, or holds another number of entries")
    return leaves
