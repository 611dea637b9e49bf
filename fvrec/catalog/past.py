"""What earlier ingests placed, beside the products of this one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fvrec.catalog.traits import Traits, key_digest
from fvrec.records import SPLITS, Placed

NONE = -1
_EXCLUDED = SPLITS.index("excluded")


@dataclass(frozen=True)
class Past:
    """One row a product of this ingest (``N``), then one a vanished product that might come back: ``M`` rows.

    split: number in ``SPLITS`` where it was, ``NONE`` for a new one. group: number in ``group_ids``, which are sorted.
    fixed: it bears the very traits by which it was placed. traits: of all M rows.
    """

    split: NDArray[np.int8]
    group: NDArray[np.int64]
    fixed: NDArray[np.bool_]
    group_ids: tuple[str, ...]
    traits: Traits

    @classmethod
    def of(cls, history: Mapping[str, Placed], item_ids: Iterable[str], traits: Traits) -> Past:
        """``traits`` are those of the products of this ingest, whose ids are ``item_ids``; vanished ones are added."""
        count, ids = len(traits), list(item_ids) if history else []
        current = set(ids)
        gone = [placed for item_id, placed in history.items() if item_id not in current]
        known = [history.get(item_id) for item_id in ids] if history else [None] * count
        fixed = [placed is not None and _same(placed, traits, row) for row, placed in enumerate(known)]
        for placed in gone:
            sha256, phash = bytes.fromhex(placed.image_sha256), bytes.fromhex(placed.image_phash)
            traits.append(placed.group_key, sha256, phash)
        group_ids = tuple(sorted({placed.group_id for placed in history.values()}))
        number = {group_id: at for at, group_id in enumerate(group_ids)}
        placed_rows = [*known, *gone]
        return cls(
            split=np.array([NONE if one is None else SPLITS.index(one.split) for one in placed_rows], dtype=np.int8),
            group=np.array([NONE if one is None else number[one.group_id] for one in placed_rows], dtype=np.int64),
            fixed=np.array([*fixed, *([True] * len(gone))], dtype=bool),
            group_ids=group_ids,
            traits=traits,
        )

    @property
    def anchored(self) -> NDArray[np.bool_]:
        """It was in train, val or test. What was excluded binds nobody."""
        return (self.split != NONE) & (self.split != _EXCLUDED)

    @property
    def bits(self) -> NDArray[np.uint8]:
        """The old split as one bit; 0 where there is none that binds."""
        shifted = np.left_shift(np.uint8(1), self.split.clip(0).astype(np.uint8))
        return np.where(self.anchored, shifted, 0).astype(np.uint8)


def _same(placed: Placed, traits: Traits, row: int) -> bool:
    return (
        traits.photos[row] == bytes.fromhex(placed.image_sha256)
        and traits.keys[row] == key_digest(placed.group_key)
        and traits.looks[row] == bytes.fromhex(placed.image_phash).ljust(traits.looks.width, b"\0")
    )
