"""A log as C2SP tlog-tiles (v0.1.0) serves it: which tiles there are, and how they grow.

A tile is immutable once full; the one at the right edge of each level is a prefix that grows, and
is never hashed into the level above.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from service.audit.tree import (
    HASH_SIZE,
    TILE_HEIGHT,
    TILE_WIDTH,
    TOP_LEVEL,
    VerificationError,
    bundle_path,
    decode_bundle,
    fold,
    tile_path,
)

__all__ = [
    "ENTRIES", "Tile", "TileTree", "bundle_path", "decode_bundle", "encode_bundle", "extend",
    "growth", "parse_path", "tile_path", "tiles_of",
]  # fmt: skip

ENTRIES = -1
"""Stands as level for the bundles of entries, which lie beside the tiles of level 0."""
LONGEST_LEAF = 65_535

_PATH = re.compile(
    r"tile/(?P<level>0|[1-9][0-9]?|entries)/(?P<n>(?:x[0-9]{3}/)*[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True)
class Tile:
    """The n-th tile of a level, of which `width` hashes (or entries) exist."""

    level: int
    n: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        if self.level == ENTRIES:
            return bundle_path(self.n, self.width)
        return tile_path(self.level, self.n, self.width)


def parse_path(path: str) -> Tile:
    """The tile at a path in its one right spelling; VerificationError for any other."""
    found = _PATH.fullmatch(path)
    if not found:
        raise VerificationError("no path of a tile")
    level = ENTRIES if found["level"] == "entries" else int(found["level"])
    n = int(found["n"].replace("x", "").replace("/", ""))
    tile = Tile(level, n, int(found["width"] or TILE_WIDTH))
    if level > TOP_LEVEL or tile.width > TILE_WIDTH or tile.path != path:
        raise VerificationError("no path of a tile")
    return tile


def tiles_of(size: int) -> Iterator[Tile]:
    """Every hash tile of a tree of this size, level by level."""
    return growth(0, size)


def growth(old: int, new: int) -> Iterator[Tile]:
    """The hash tiles a tree owes at size `new` that it did not have, in this width, at `old`."""
    level = 0
    while new:
        if new > old:
            for n in range(old // TILE_WIDTH, new // TILE_WIDTH):
                yield Tile(level, n)
            if new % TILE_WIDTH:
                yield Tile(level, new // TILE_WIDTH, new % TILE_WIDTH)
        old, new, level = old // TILE_WIDTH, new // TILE_WIDTH, level + 1


def extend(
    size: int, leaf_hashes: Sequence[bytes], partial: Callable[[Tile], bytes]
) -> dict[Tile, bytes]:
    """The tiles that change, with their bytes, when `leaf_hashes` join a tree of `size` leaves.

    `partial` gives the bytes of a tile at the right edge; it is asked once a level at most.
    """
    changed: dict[Tile, bytes] = {}
    level, fresh = 0, list(leaf_hashes)
    while fresh:
        first, kept = size // TILE_WIDTH, size % TILE_WIDTH
        known = partial(Tile(level, first, kept)) if kept else b""
        if len(known) != kept * HASH_SIZE:
            raise VerificationError("a tile at the right edge is not as wide as the tree says")
        joined = known + b"".join(fresh)
        above = []
        for n, hashes in enumerate(_cut(joined), first):
            tile = Tile(level, n, len(hashes) // HASH_SIZE)
            changed[tile] = hashes
            if tile.width == TILE_WIDTH:
                above.append(fold(hashes))
        level, size, fresh = level + 1, size // TILE_WIDTH, above
    return changed


def _cut(hashes: bytes) -> Iterator[bytes]:
    step = TILE_WIDTH * HASH_SIZE
    for at in range(0, len(hashes), step):
        yield hashes[at : at + step]


def encode_bundle(leaves: Iterable[bytes]) -> bytes:
    parts: list[bytes] = []
    for leaf in leaves:
        if len(leaf) > LONGEST_LEAF:
            raise ValueError("an entry is at most 65,535 bytes")
        parts += (len(leaf).to_bytes(2, "big"), leaf)
    return b"".join(parts)


@dataclass(slots=True)
class TileTree:
    """Answers `node(level, index)` for a tree of `size` leaves from tiles alone.

    `read` gives a tile's bytes. Each is read once; make a tree for a proof and let it go.
    """

    read: Callable[[Tile], bytes]
    size: int
    held: dict[Tile, bytes] = field(default_factory=dict)

    def node(self, level: int, index: int) -> bytes:
        if index + 1 << level > self.size:
            raise ValueError("the tree has no such subtree yet")
        tile_level, height = divmod(level, TILE_HEIGHT)
        n, offset = divmod(index << height, TILE_WIDTH)
        hashes = self.tile(tile_level, n)
        return fold(hashes[offset * HASH_SIZE : (offset + (1 << height)) * HASH_SIZE])

    def tile(self, level: int, n: int) -> bytes:
        width = min((self.size >> TILE_HEIGHT * level) - n * TILE_WIDTH, TILE_WIDTH)
        tile = Tile(level, n, width)
        if tile not in self.held:
            hashes = self.read(tile)
            if len(hashes) != width * HASH_SIZE:
                raise VerificationError("a tile is not as wide as the tree says")
            self.held[tile] = hashes
        return self.held[tile]
