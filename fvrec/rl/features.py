"""What a policy sees: per-candidate features made from pools alone, by this one class in training and in service."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.rerank.pool import UNKNOWN_CODES, Pool
from fvrec.rl.items import VALUE_SLOTS
from fvrec.rl.reward import attribute_similarity, new_values, position_discount
from fvrec.schema import FIELDS

STATIC = ("relevance", "relevance_z", "known_share", "rarity", *(f"match_{field}" for field in FIELDS))
DYNAMIC = (
    "discounted_relevance",
    "max_attribute_similarity",
    "mean_attribute_similarity",
    "max_embedding_similarity",
    "mean_embedding_similarity",
    "new_style",
    "new_share",
    "discount",
    "progress",
    "available",
)
FEATURES: tuple[str, ...] = STATIC + DYNAMIC
"""Columns of an observation. A saved policy names them: another list is another policy."""
FEATURE_LIMIT = 10.0
_STYLE = FIELDS.index("style")


class ListFeatures:
    """Observation of ``B`` lists that are built in step from pools of one size ``N`` to length ``k``.

    Attributes are the predicted ones. Every column is a function of the set of candidates, not of their order:
    permuting a pool permutes the rows of ``observe`` and nothing else. Raises FvrecError when pools differ in size or
    ``k`` exceeds them.
    """

    def __init__(self, pools: Sequence[Pool], k: int) -> None:
        sizes = {len(pool) for pool in pools}
        if len(sizes) != 1:
            raise FvrecError("pools of one batch must have one size", found=sorted(sizes))
        if not 1 <= k <= len(pools[0]):
            raise FvrecError(
                "the list length does not fit the pool", where="k", found=k, allowed=f"1 to {len(pools[0])}"
            )
        self._k = k
        self._values = np.stack([pool.values for pool in pools])
        self._embeddings = np.stack([pool.embeddings for pool in pools])
        self._relevance = np.stack([pool.relevance for pool in pools])
        self._observation = np.zeros((*self._relevance.shape, len(FEATURES)), dtype=np.float32)
        self._rows = np.arange(len(pools))
        self._new = new_values(self._values)
        self._known = np.maximum(1, self._new.sum(axis=-1))
        self._sums = np.zeros((2, *self._relevance.shape), dtype=np.float32)
        self._available = np.ones(self._relevance.shape, dtype=bool)
        self._position = 0
        self._fill_static(np.stack([pool.field_match for pool in pools]))
        self._fill_dynamic()

    @property
    def available(self) -> NDArray[np.bool_]:
        """``[B, N]``: candidates that are not in the list yet."""
        return self._available.copy()

    def observe(self) -> NDArray[np.float32]:
        """``[B, N, F]``, columns as in ``FEATURES``."""
        return self._observation.copy()

    def append(self, actions: NDArray[np.integer]) -> None:
        """Add candidate ``actions [B]`` to the lists."""
        at = (self._rows, actions)
        attribute = attribute_similarity(self._values, self._values[at])
        embedding = np.matmul(self._embeddings, self._embeddings[at][:, :, None])[..., 0].clip(-1.0, 1.0)
        for kind, similarity in enumerate((attribute, embedding)):
            self._sums[kind] += similarity
            largest = self._column(("max_attribute_similarity", "max_embedding_similarity")[kind])
            np.maximum(largest, similarity, out=largest)
        self._new &= self._values != self._values[at][:, None, :]
        self._available[at] = False
        self._position += 1
        self._fill_dynamic()

    def _column(self, name: str) -> NDArray[np.float32]:
        return self._observation[..., FEATURES.index(name)]

    def _fill_static(self, field_match: NDArray[np.float32]) -> None:
        relevance = self._relevance
        spread = relevance.std(axis=1, keepdims=True)
        z = (relevance - relevance.mean(axis=1, keepdims=True)) / np.maximum(spread, 1e-6)
        self._column("relevance")[:] = relevance
        self._column("relevance_z")[:] = np.where(spread > 1e-6, z, 0.0).clip(-FEATURE_LIMIT, FEATURE_LIMIT)
        self._column("known_share")[:] = self._new.mean(axis=-1)
        self._column("rarity")[:] = _rarity(self._values)
        start = FEATURES.index(f"match_{FIELDS[0]}")
        self._observation[..., start : start + len(FIELDS)] = field_match

    def _fill_dynamic(self) -> None:
        # Past the last position nothing is chosen any more; the features stay those of the last one.
        discount = position_discount(min(self._position, self._k - 1))
        self._column("discounted_relevance")[:] = discount * self._relevance
        self._column("mean_attribute_similarity")[:] = self._sums[0] / max(1, self._position)
        self._column("mean_embedding_similarity")[:] = self._sums[1] / max(1, self._position)
        self._column("new_style")[:] = self._new[..., _STYLE]
        self._column("new_share")[:] = self._new.sum(axis=-1) / self._known
        self._column("discount")[:] = discount
        self._column("progress")[:] = self._position / self._k
        self._column("available")[:] = self._available


def _rarity(values: NDArray[np.int16]) -> NDArray[np.float32]:
    """``[B, N]``: 1 - the mean share, in the pool, of an item's known values; 0 for an item that knows none."""
    batch, size, fields = values.shape
    table = np.arange(batch)[:, None, None] * fields + np.arange(fields)
    cells = table * VALUE_SLOTS + values
    share = np.bincount(cells.ravel(), minlength=batch * fields * VALUE_SLOTS)[cells] / size
    known = values != UNKNOWN_CODES
    count = known.sum(axis=-1)
    return np.where(count > 0, 1.0 - (share * known).sum(axis=-1) / np.maximum(1, count), 0.0).astype(np.float32)
