"""Tiles: their paths, which of them a tree has, how it grows, and proofs read from them alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.audit import tiles, tree
from service.audit.tiles import ENTRIES, Tile, TileTree
from service.audit.tree import Frontier, VerificationError

FULL = 256


def written(sizes: list[int]) -> dict[Tile, bytes]:
    """The tiles of a log that had each of these sizes, one after the other; all are kept."""
    held: dict[Tile, bytes] = {}
    size = 0
    for after in sizes:
        fresh = [tree.leaf_hash(b"%d" % n) for n in range(size, after)]
        held |= tiles.extend(size, fresh, held.__getitem__)
        size = after
    return held


def test_paths_are_spelt_in_groups_of_three_digits():
    assert tiles.tile_path(0, 0) == "tile/0/000"
    assert tiles.tile_path(1, 1234067) == "tile/1/x001/x234/067"
    assert tiles.tile_path(2, 1000, 17) == "tile/2/x001/000.p/17"
    assert tiles.bundle_path(273, 112) == "tile/entries/273.p/112"


@given(st.integers(ENTRIES, 63), st.integers(0, 10**13), st.integers(1, FULL))
def test_a_path_parses_back_to_its_tile(level, n, width):
    tile = Tile(level, n, width)
    assert tiles.parse_path(tile.path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "", "checkpoint", "tile/0/0", "tile/0/0000", "tile/00/000", "tile/64/000", "tile/-1/000",
        "tile/0/001/000", "tile/0/x000/000", "tile/0/000.p/0", "tile/0/000.p/256",
        "tile/0/000.p/01", "tile/0/000.p/", "tile/0/000/", "/tile/0/000", "tile/0/000\n",
        "tile/0/x00\u0661/000", "tile/entries/../0", "tile/0/000.p/1000", "tile/8/0/000",
    ],
)  # fmt: skip
def test_a_path_in_another_spelling_is_refused(path):
    with pytest.raises(VerificationError):
        tiles.parse_path(path)


def test_the_tiles_of_seventy_thousand_leaves():
    found = list(tiles.tiles_of(70_000))
    assert [tile for tile in found if tile.level == 0] == [
        *(Tile(0, n) for n in range(273)),
        Tile(0, 273, 112),
    ]
    assert [tile for tile in found if tile.level] == [Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert list(tiles.tiles_of(256)) == [Tile(0, 0), Tile(1, 0, 1)]
    assert list(tiles.tiles_of(0)) == []


def test_a_log_of_seventy_thousand_leaves_is_proved_from_its_tiles():
    held = written([255, 256, 65_535, 65_536, 69_999, 70_000])
    frontier = Frontier()
    roots = {}
    for n in range(70_000):
        frontier.append(tree.leaf_hash(b"%d" % n))
        if n + 1 in (1, 255, 256, 257, 65_536, 69_999, 70_000):
            roots[n + 1] = frontier.root()
    reader = TileTree(held.__getitem__, 70_000)
    for size, root in roots.items():
        assert tree.tree_root(size, reader.node) == root
        proof = tree.consistency_proof(size, 70_000, reader.node)
        tree.verify_consistency(size, 70_000, root, roots[70_000], proof)
    for index in (0, 255, 256, 65_535, 65_536, 69_887, 69_888, 69_999):
        proof = tree.inclusion_proof(index, 70_000, reader.node)
        leaf = tree.leaf_hash(b"%d" % index)
        tree.verify_inclusion(index, 70_000, leaf, proof, roots[70_000])
    assert {tile for tile in held if tile.level} >= {Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)}


@given(st.lists(st.integers(0, 1_500), min_size=1, max_size=6).map(sorted))
def test_growth_in_any_steps_writes_exactly_the_tiles_owed(sizes):
    held = written(sizes)
    owed = set()
    for old, new in zip([0, *sizes], sizes, strict=False):
        owed |= set(tiles.growth(old, new))
    assert set(held) == owed
    assert set(tiles.tiles_of(sizes[-1])) <= owed
    for tile in tiles.tiles_of(sizes[-1]):
        assert len(held[tile]) == 32 * tile.width


def test_a_tile_of_the_wrong_width_is_refused():
    held = written([300])
    for broken in (b"", held[Tile(0, 0)][:-1], held[Tile(0, 0)] + bytes(32)):
        reader = TileTree(lambda tile, broken=broken: broken if tile.n == 0 else held[tile], 300)
        with pytest.raises(VerificationError):
            reader.node(3, 1)
        with pytest.raises(VerificationError):
            tiles.extend(300, [bytes(32)], lambda _, broken=broken: broken)


def test_a_subtree_that_is_not_whole_has_no_hash():
    reader = TileTree(written([300]).__getitem__, 300)
    assert reader.node(2, 74) == tree.fold(written([300])[Tile(0, 1, 44)][-4 * 32 :])
    for level, index in ((0, 300), (2, 75), (8, 1), (9, 0)):
        with pytest.raises(ValueError, match="no such subtree"):
            reader.node(level, index)


@given(st.lists(st.binary(max_size=600), min_size=1, max_size=FULL))
def test_a_bundle_gives_back_its_entries(leaves):
    data = tiles.encode_bundle(leaves)
    assert tiles.decode_bundle(data, len(leaves)) == leaves
    for broken in (data[:-1], data + b"\x00", data + b"\x00\x00", data + b"\x00\x05abc"):
        with pytest.raises(VerificationError):
            tiles.decode_bundle(broken, len(leaves))


def test_an_entry_fills_two_bytes_of_length_at_most():
    longest = bytes(65_535)
    assert tiles.decode_bundle(tiles.encode_bundle([longest, b""]), 2) == [longest, b""]
    with pytest.raises(ValueError, match="65,535"):
        tiles.encode_bundle([bytes(65_536)])
