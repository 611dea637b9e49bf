"""What may be believed of a pool's candidates: relevance, rarity, style and likeness, as arrays for ``B`` pools.

``plain_beliefs`` takes the extractor at its word; ``fvrec.rl.reader`` learns better ones. Every search, every baseline
and the policy work on a ``Beliefs`` and on nothing else of a pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.rerank.pool import UNKNOWN_CODES, Pool
from fvrec.schema import FIELDS, VALUES

STYLE = FIELDS.index("style")
STYLES = len(VALUES["style"]) - 1
_SIZES = np.array([len(VALUES[field]) - 1 for field in FIELDS])
_STARTS = np.concatenate([[0], np.cumsum(_SIZES)[:-1]])
_COLUMNS = np.arange(len(FIELDS))
PLACES = tuple(slice(int(start), int(start + size)) for start, size in zip(_STARTS, _SIZES, strict=True))
"""Where each field's known values lie in a row of all ``KNOWN`` of them."""
KNOWN = int(_SIZES.sum())
CELLS = KNOWN + len(FIELDS)


@dataclass(frozen=True)
class Beliefs:
    """``B`` pools of ``N`` candidates.

    relevance: ``[B, N]`` expected relevance. plain: ``[B, N]`` the pool's own. tail: ``[B, N]`` expected share of
    long-tail values. style: ``[B, N, S]`` probability of each known style. vectors: ``[B, N, V]`` of length 1 (0 for an
    item that knows nothing); likeness is their cosine. doubt: ``[B, N]`` standard deviation of the relevance.
    """

    relevance: NDArray[np.float32]
    plain: NDArray[np.float32]
    tail: NDArray[np.float32]
    style: NDArray[np.float32]
    vectors: NDArray[np.float32]
    doubt: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.relevance)

    def similarity(self) -> NDArray[np.float32]:
        """``[B, N, N]``: the one similarity function that every ranker is given."""
        return np.matmul(self.vectors, self.vectors.transpose(0, 2, 1)).clip(0.0, 1.0)

    def take(self, rows: NDArray[np.integer] | slice) -> Beliefs:
        """Some of the pools."""
        parts = (self.relevance, self.plain, self.tail, self.style, self.vectors, self.doubt)
        return Beliefs(*(part[rows] for part in parts))


@dataclass(frozen=True)
class Readings:
    """Pools of one size, stacked: relevance ``[B, N]``, values, field_match and confidence ``[B, N, 10]``.

    noisy: whether the pools carry confidences; those that do not are taken at their word.
    """

    relevance: NDArray[np.float32]
    values: NDArray[np.int16]
    field_match: NDArray[np.float32]
    confidence: NDArray[np.float32]
    noisy: bool


def stack(pools: Sequence[Pool]) -> Readings:
    """FvrecError when pools differ in size, or some carry confidences and others none."""
    if len({len(pool) for pool in pools}) != 1 or len({pool.confidence is None for pool in pools}) != 1:
        raise FvrecError(
            "pools of one batch must have one size and one kind", found=sorted({len(pool) for pool in pools})
        )
    values = np.stack([pool.values for pool in pools])
    known = (values != UNKNOWN_CODES).astype(np.float32)
    noisy = [pool.confidence for pool in pools if pool.confidence is not None]
    return Readings(
        np.stack([pool.relevance for pool in pools]),
        values,
        np.stack([pool.field_match for pool in pools]),
        np.stack(noisy) * known if noisy else known,
        bool(noisy),
    )


def plain_beliefs(readings: Readings, rare: NDArray[np.float32] | None = None) -> Beliefs:
    """The pool's own relevance and values: nothing learned. ``rare``: ``[KNOWN]``, 1 for a long-tail value."""
    known = (readings.values != UNKNOWN_CODES).astype(np.float32)
    probabilities = one_hot(readings.values)
    tail = np.zeros_like(readings.relevance) if rare is None else expected_tail(probabilities, known, rare)
    return Beliefs(
        readings.relevance,
        readings.relevance,
        tail,
        np.ascontiguousarray(probabilities[..., PLACES[STYLE]]),
        unit_vectors(probabilities, known),
        np.full_like(readings.relevance, 0.1),
    )


def expected_tail(
    probabilities: NDArray[np.float32], known: NDArray[np.float32], rare: NDArray[np.float32]
) -> NDArray[np.float32]:
    """``[B, N]``: expected share of long-tail values among an item's known ones."""
    mass = probabilities @ rare
    return np.asarray(mass / np.maximum(known.sum(axis=-1), 1e-6), dtype=np.float32).clip(0.0, 1.0)


def cells_of(values: NDArray[np.int16]) -> NDArray[np.int64]:
    """``[..., 10]`` codes -> each one's cell among ``CELLS``: known values by field, then each field's unknown."""
    return np.where(values == UNKNOWN_CODES, KNOWN + _COLUMNS, _STARTS + values)


def one_hot(values: NDArray[np.int16]) -> NDArray[np.float32]:
    """``[..., 10]`` codes -> ``[..., KNOWN]``; nothing for unknown."""
    cells = np.zeros((*values.shape[:-1], CELLS), dtype=np.float32)
    np.put_along_axis(cells, cells_of(values), 1.0, axis=-1)
    return cells[..., :KNOWN]


def unit_vectors(probabilities: NDArray[np.float32], known: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities ``[B, N, KNOWN]`` -> vectors of the same shape.

    The length is that of the certain item with as many known fields (``known [B, N, 10]``): a doubtful reading is
    less like everything, itself included.
    """
    length = np.sqrt(np.maximum(known.sum(axis=-1, keepdims=True), 1e-6))
    return np.asarray(probabilities / length, dtype=np.float32)


def profile(readings: Readings) -> NDArray[np.float32]:
    """``[B, KNOWN]``: how well each value suits the user, read off the pool; 0.5 where no candidate tells.

    A candidate's field match is ``0.5 + confidence * (match - 0.5)``: least squares over those that show the value.
    """
    batch = len(readings.values)
    cells = (np.arange(batch)[:, None, None] * CELLS + cells_of(readings.values)).ravel()
    weight = readings.confidence.astype(np.float64)
    lean = (readings.field_match - 0.5) * weight
    told = np.bincount(cells, lean.ravel(), batch * CELLS)
    weighed = np.bincount(cells, (weight**2).ravel(), batch * CELLS)
    table = (0.5 + told / np.maximum(weighed, 1e-6)).clip(0.0, 1.0).reshape(batch, CELLS)
    return table[:, :KNOWN].astype(np.float32)
