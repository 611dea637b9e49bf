"""Bonds between products: one design, one photo, near-copies of one photo. No group is written out pair by pair."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fvrec.catalog.columns import labels
from fvrec.catalog.near import WORDS, Pairs, near_pairs
from fvrec.catalog.traits import Traits

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Bonds:
    """Per product (``[M]``) a number for its key, one for its photo and one for what the photo shows (-1: nothing).

    near: ``[P, 2]``, pairs of looks that are near-copies.
    """

    key: Numbers
    photo: Numbers
    look: Numbers
    near: Pairs

    @classmethod
    def of(cls, traits: Traits) -> Bonds:
        words = traits.looks.words()
        seen = words.any(axis=1)
        look = np.full(len(words), -1, dtype=np.int64)
        look[seen] = labels(words[seen])
        distinct = np.empty((int(look.max(initial=-1)) + 1, WORDS), dtype=np.uint64)
        distinct[look[seen]] = words[seen]
        return cls(labels(traits.keys.words()), labels(traits.photos.words()), look, near_pairs(distinct))

    def spread(self, bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Per product the union of the ``bits`` of all that are bound to it directly."""
        return self._gather(bits, np.bitwise_or, np.uint8(0))

    def spread_lowest(self, numbers: Numbers) -> Numbers:
        """Per product the lowest of the ``numbers`` of all that are bound to it directly."""
        return self._gather(numbers, np.minimum, np.int64(numbers.max(initial=0)))

    def components(self, chosen: NDArray[np.bool_]) -> Numbers:
        """Per product the number of its connected component among the ``chosen``; each other one is alone."""
        edges = np.concatenate([*self._chains(np.flatnonzero(chosen)), self._near_edges(chosen)])
        graph = coo_array((np.ones(len(edges), dtype=np.int8), (edges[:, 0], edges[:, 1])), shape=(len(chosen),) * 2)
        return connected_components(graph, directed=False)[1].astype(np.int64)

    def near_copies(self, count: int) -> int:
        """How many of the first ``count`` products have a near-copy of their photo that is another file."""
        rows = np.flatnonzero(self.look[:count] >= 0)
        files = np.unique(np.stack([self.look[rows], self.photo[rows]], axis=1), axis=0)[:, 0]
        present = np.bincount(files, minlength=int(self.look.max(initial=-1)) + 1)
        pairs = self.near[(present[self.near] > 0).all(axis=1)]
        alike = present > 1
        alike[pairs.ravel()] = True
        return int(alike[self.look[rows]].sum())

    def _gather(self, values: NDArray, union: np.ufunc, nothing: np.generic) -> NDArray:
        gathered = np.full_like(values, nothing)
        for label in (self.key, self.photo, self.look):
            held = np.full(int(label.max(initial=-1)) + 1, nothing, dtype=values.dtype)
            rows = np.flatnonzero(label >= 0)
            union.at(held, label[rows], values[rows])
            if label is self.look:
                before = held.copy()
                union.at(held, self.near[:, 0], before[self.near[:, 1]])
                union.at(held, self.near[:, 1], before[self.near[:, 0]])
            gathered[rows] = union(gathered[rows], held[label[rows]])
        return gathered

    def _chains(self, rows: Numbers) -> Iterator[Pairs]:
        """Edges between neighbours in the order of a label: enough to connect all that share it."""
        for label in (self.key, self.photo, self.look):
            bound = rows[label[rows] >= 0]
            order = bound[np.argsort(label[bound], kind="stable")]
            same = label[order[1:]] == label[order[:-1]]
            yield np.stack([order[:-1][same], order[1:][same]], axis=1)

    def _near_edges(self, chosen: NDArray[np.bool_]) -> Pairs:
        standing_for = np.full(int(self.look.max(initial=-1)) + 1, -1, dtype=np.int64)
        rows = np.flatnonzero(chosen & (self.look >= 0))
        standing_for[self.look[rows]] = rows
        edges = standing_for[self.near]
        return edges[(edges >= 0).all(axis=1)]
