"""Splits under growth: no old row ever moves, no group and no trait is on two sides, whatever comes and goes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fvrec.catalog.columns import Texts
from fvrec.catalog.grouping import Placement, arrange
from fvrec.catalog.past import Past
from fvrec.catalog.traits import Traits
from fvrec.records import Placed


@dataclass(frozen=True)
class Row:
    key: int
    photo: int
    look: int


def look_bytes(look: int) -> bytes:
    """Looks of one ten are near-copies of their neighbours: each differs from the next in six bits."""
    family, step = divmod(look, 10)
    bits = np.unpackbits(np.random.default_rng(family).integers(0, 256, 32, dtype=np.uint8))
    bits[: 6 * step] ^= 1
    return np.packbits(bits).tobytes()


def ingest(rows: dict[str, Row], history: dict[str, Placed]) -> dict[str, Placed]:
    """One ingest of exactly these rows; what is known afterwards."""
    traits, keys = Traits.empty(), Texts()
    for row in rows.values():
        traits.append(f"key {row.key}", _photo(row), look_bytes(row.look))
        keys.append(f"key {row.key}")
    arranged = arrange(keys, Past.of(history, rows, traits))
    known = {item: _vanished(placed) for item, placed in history.items()}
    for at, (item, row) in enumerate(rows.items()):
        where: Placement = arranged[at]
        known[item] = Placed(
            where.group_id, where.split, f"key {row.key}", _photo(row).hex(), look_bytes(row.look).hex(), "", False
        )
    return known


def _photo(row: Row) -> bytes:
    return bytes([row.photo, row.look]) * 16


def _vanished(placed: Placed) -> Placed:
    return Placed(placed.group_id, placed.split, placed.group_key, placed.image_sha256, placed.image_phash, "", True)


def assert_no_leak(known: dict[str, Placed]) -> None:
    """No group, key or photo of the placed ones is in two of train, val and test; near-copies neither."""
    for trait in ("group_id", "group_key", "image_sha256", "image_phash"):
        sides = defaultdict(set)
        for placed in known.values():
            if placed.split != "excluded":
                sides[getattr(placed, trait)].add(placed.split)
        assert all(len(found) == 1 for found in sides.values()), trait
    kept = [placed for placed in known.values() if placed.split != "excluded"]
    for one in kept:
        for other in kept:
            distance = (int(one.image_phash, 16) ^ int(other.image_phash, 16)).bit_count()
            assert distance > 8 or one.split == other.split


rows = st.builds(Row, key=st.integers(0, 14), photo=st.integers(0, 3), look=st.integers(0, 59))
batches = st.lists(st.lists(rows, min_size=1, max_size=6), min_size=2, max_size=5)


@settings(max_examples=150, deadline=None)
@given(batches)
def test_growth_moves_no_old_row(grown: list[list[Row]]) -> None:
    present: dict[str, Row] = {}
    known: dict[str, Placed] = {}
    for number, batch in enumerate(grown):
        present |= {f"item {number}-{at}": row for at, row in enumerate(batch)}
        before, known = known, ingest(present, known)
        for item, placed in before.items():
            assert (known[item].group_id, known[item].split) == (placed.group_id, placed.split)
        assert_no_leak(known)


events = st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), rows)), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(st.lists(events, min_size=2, max_size=5))
def test_items_that_change_vanish_and_return_leak_nothing(history: list[list[tuple[int, Row | None]]]) -> None:
    """Each event gives one of ten items new traits, or takes it away."""
    present: dict[str, Row] = {}
    known: dict[str, Placed] = {}
    last: dict[str, Row] = {}
    for step in history:
        for item, row in step:
            present.pop(str(item), None)
            if row is not None:
                present[str(item)] = row
        before, known = known, ingest(present, known)
        for item, placed in before.items():
            if item not in present or present[item] == last[item]:
                assert (known[item].group_id, known[item].split) == (placed.group_id, placed.split)
            elif placed.split != "excluded":
                assert known[item].split in (placed.split, "excluded")
        last |= present
        assert_no_leak(known)


def _two_sides() -> tuple[dict[str, Row], dict[str, Placed]]:
    """Two old items in different splits."""
    for other in range(1, 200):
        old = {"a": Row(1000, 0, 0), "b": Row(1000 + other, 1, 10)}
        known = ingest(old, {})
        if known["a"].split != known["b"].split:
            return old, known
    raise AssertionError("all splits are one")


def test_a_new_row_that_would_bridge_two_splits_is_excluded_and_binds_nobody() -> None:
    old, known = _two_sides()
    bridge = {**old, "c": Row(old["a"].key, 1, 10)}
    known = ingest(bridge, known)
    assert known["c"].split == "excluded"
    later = ingest({**bridge, "d": Row(old["a"].key, 2, 30)}, known)
    assert later["d"].split == later["a"].split == known["a"].split


def test_new_rows_that_only_together_bridge_two_splits_are_all_excluded() -> None:
    old, known = _two_sides()
    chain = {**old, "c": Row(old["a"].key, 2, 33), "d": Row(7777, 1, 33), "e": Row(7777, 1, 10)}
    known = ingest(chain, known)
    assert [known[item].split for item in "cde"] == ["excluded"] * 3


def test_a_vanished_item_still_binds_and_comes_back_where_it_was() -> None:
    known = ingest({"a": Row(1, 0, 0), "z": Row(2, 0, 50)}, {})
    gone = ingest({"z": Row(2, 0, 50), "b": Row(1, 3, 20)}, known)
    assert gone["b"].group_id == known["a"].group_id
    back = ingest({"a": Row(1, 0, 0), "z": Row(2, 0, 50), "b": Row(1, 3, 20)}, gone)
    assert (back["a"].group_id, back["a"].split) == (known["a"].group_id, known["a"].split)
    assert not back["a"].vanished


def test_an_item_of_an_older_schema_keeps_its_split() -> None:
    bare = Placed("0123456789abcdef", "test", "", _photo(Row(1, 0, 0)).hex(), "", "", False)
    known = ingest({"a": Row(1, 0, 0), "b": Row(1, 1, 20)}, {"a": bare})
    assert [(known[item].group_id, known[item].split) for item in "ab"] == [("0123456789abcdef", "test")] * 2
