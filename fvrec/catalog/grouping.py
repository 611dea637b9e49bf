"""Which products belong together, and in which split: no design and no photo may be learnt from and tested on.

Products with one group key, one photo or near-copies of one photo share a group, also through others. The split is a
hash of the group's name. What an earlier ingest placed stays where it is; see :func:`arrange`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fvrec.catalog.bonds import Bonds
from fvrec.catalog.columns import Texts
from fvrec.catalog.past import Past
from fvrec.catalog.traits import Traits
from fvrec.records import SPLITS, Split

TRAIN_SHARE, VAL_SHARE = 0.8, 0.1
_EXCLUDED = SPLITS.index("excluded")


@dataclass(frozen=True)
class Placement:
    """Where one product went."""

    group_id: str
    split: Split


@dataclass(frozen=True)
class Arrangement:
    """Where every product went: ``group`` (``[N]``) is a number in ``group_ids``, ``split`` one in ``SPLITS``.

    near_copies: how many products have a photo that is a near-copy of another's.
    """

    group: NDArray[np.int64]
    split: NDArray[np.int8]
    group_ids: Sequence[str]
    near_copies: int

    def __getitem__(self, row: int) -> Placement:
        return Placement(self.group_ids[self.group[row]], SPLITS[self.split[row]])


def place(group_keys: Sequence[str], image_hashes: Sequence[str]) -> list[Placement]:
    """One Placement per new product, from texts; ``image_hashes`` may be any names for the photos."""
    traits, names = Traits.empty(), Texts()
    for key, image in zip(group_keys, image_hashes, strict=True):
        traits.append(key, hashlib.sha256(image.encode()).digest())
        names.append(key)
    arranged = arrange(names, Past.of({}, (), traits))
    return [arranged[row] for row in range(len(names))]


def arrange(group_keys: Texts, past: Past) -> Arrangement:
    """Groups and splits of all products of this ingest.

    - What is placed already and still bears the traits it was placed by stays, whatever comes.
    - New products that belong to placed ones of one split join them.
    - One that belongs to placed products of two splits is excluded; so are new products that only together join two
      splits. What is excluded binds nobody from then on.
    - One whose photo or name changed counts as new, and its own old split as one that it belongs to.
    - New products that belong to no placed one are a new group, named by the smallest of their keys.
    """
    count = len(group_keys)
    bonds = Bonds.of(past.traits)
    touched = np.where(past.fixed, 0, past.bits) | bonds.spread(np.where(past.fixed, past.bits, 0))
    bridging = ~past.fixed & (np.bitwise_count(touched) > 1)
    component = bonds.components(~past.fixed & ~bridging)
    reach = np.zeros(len(component), dtype=np.uint8)
    np.bitwise_or.at(reach, component, np.where(past.fixed, 0, touched))
    reach = reach[component]
    excluded = ~past.fixed & (np.bitwise_count(reach) > 1)
    joining = ~past.fixed & (np.bitwise_count(reach) == 1)
    named = ~past.fixed & ~joining
    group = np.where(joining, _lowest_group(bonds, past, component), past.group)[:count]
    split = np.where(joining, np.bitwise_count(reach - 1).astype(np.int8), past.split)[:count]
    fresh, group_ids = _named(group_keys, component[:count], named[:count])
    by_name = np.array([SPLITS.index(split_of(name)) for name in group_ids], dtype=np.int8)
    group[named[:count]] = fresh + len(past.group_ids)
    split[named[:count]] = by_name[fresh]
    split[excluded[:count]] = _EXCLUDED
    return Arrangement(group, split, (*past.group_ids, *group_ids), bonds.near_copies(count))


def split_of(group_id: str) -> Split:
    """``train`` for 80 % of all names, ``val`` and ``test`` for 10 % each, by SHA-256."""
    position = int.from_bytes(hashlib.sha256(f"split:{group_id}".encode()).digest()[:8], "big") / 2**64
    if position < TRAIN_SHARE:
        return "train"
    return "val" if position < TRAIN_SHARE + VAL_SHARE else "test"


def _lowest_group(bonds: Bonds, past: Past, component: NDArray[np.int64]) -> NDArray[np.int64]:
    """``[M]``: per product the first of the old groups that its component belongs to."""
    beyond = np.int64(len(past.group_ids))
    old = np.where(past.anchored, past.group, beyond)
    nearest = np.minimum(np.where(past.fixed, beyond, old), bonds.spread_lowest(np.where(past.fixed, old, beyond)))
    lowest = np.full(len(component), beyond)
    np.minimum.at(lowest, component, np.where(past.fixed, beyond, nearest))
    return lowest[component]


def _named(keys: Texts, component: NDArray[np.int64], named: NDArray[np.bool_]) -> tuple[NDArray[np.int64], list[str]]:
    """Group ids of the components of these products, and per such product a number in them."""
    rows = np.flatnonzero(named)
    _, number = np.unique(component[rows], return_inverse=True)
    smallest: list[str] = []
    for at in np.argsort(number, kind="stable"):
        key = keys[rows[at]]
        if number[at] == len(smallest):
            smallest.append(key)
        else:
            smallest[-1] = min(key, smallest[-1])
    return number, [hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16] for key in smallest]
