"""Which products belong together, and in which split: no design and no photo may be learnt from and tested on."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from fvrec.records import Split

TRAIN_SHARE, VAL_SHARE = 0.8, 0.1


@dataclass(frozen=True)
class Placement:
    """Where one product went."""

    group_id: str
    split: Split


def place(group_keys: Sequence[str], image_hashes: Sequence[str]) -> list[Placement]:
    """One Placement per product. Products with the same key or the same photo share a group, also through others.

    A group is named by the smallest of its keys, and its split is a hash of that name: a product that is added later
    moves nothing, unless it joins two groups or brings a smaller key into one.
    """
    parents: dict[Hashable, Hashable] = {}
    for key, image in zip(group_keys, image_hashes, strict=True):
        _union(parents, ("key", key), ("image", image))
    names: dict[Hashable, str] = {}
    for key in group_keys:
        root = _find(parents, ("key", key))
        names[root] = min(key, names.get(root, key))
    return [_placement(names[_find(parents, ("key", key))]) for key in group_keys]


def split_of(group_id: str) -> Split:
    """``train`` for 80 % of all names, ``val`` and ``test`` for 10 % each, by SHA-256."""
    position = int.from_bytes(hashlib.sha256(f"split:{group_id}".encode()).digest()[:8], "big") / 2**64
    if position < TRAIN_SHARE:
        return "train"
    return "val" if position < TRAIN_SHARE + VAL_SHARE else "test"


def _placement(name: str) -> Placement:
    group_id = hashlib.sha256(name.encode()).hexdigest()[:16]
    return Placement(group_id, split_of(group_id))


def _find(parents: dict[Hashable, Hashable], node: Hashable) -> Hashable:
    root = node
    while (above := parents.setdefault(root, root)) != root:
        root = above
    while parents[node] != root:
        parents[node], node = root, parents[node]
    return root


def _union(parents: dict[Hashable, Hashable], first: Hashable, second: Hashable) -> None:
    parents[_find(parents, first)] = _find(parents, second)
