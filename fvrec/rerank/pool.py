"""What every list ranker sees: a pool of candidates as arrays, and the Protocol of a ranker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.schema import FIELDS, UNKNOWN, VALUES

_CODES = {field: {value: code for code, value in enumerate(VALUES[field])} for field in FIELDS}
UNKNOWN_CODES: NDArray[np.int16] = np.array([_CODES[field][UNKNOWN] for field in FIELDS], dtype=np.int16)
"""``[10]``: the code of ``unknown`` in each field."""


@dataclass(frozen=True)
class Pool:
    """``N`` candidates for one list.

    item_ids: N names. relevance: ``[N]`` float32 in [0, 1], what the ranker believes. embeddings: ``[N, D]`` float32,
    rows of length 1 (or 0). values: ``[N, 10]`` int16, code of the predicted value in ``VALUES[field]``.
    field_match: ``[N, 10]`` float32 in [0, 1], how well each field's value suits the user (0.5 where nothing is known).
    confidence: ``[N, 10]`` float32 in [0, 1] of the values; None: they and the relevance are taken at their word.
    Raises FvrecError on mismatched shapes, an empty pool, or numbers that are not finite.
    """

    item_ids: tuple[str, ...]
    relevance: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    values: NDArray[np.int16]
    field_match: NDArray[np.float32]
    confidence: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        size = len(self.item_ids)
        if size == 0:
            raise FvrecError("the candidate pool is empty")
        shapes = {
            "relevance": (self.relevance.shape, (size,)),
            "embeddings": (self.embeddings.shape[:1], (size,)),
            "values": (self.values.shape, (size, len(FIELDS))),
            "field_match": (self.field_match.shape, (size, len(FIELDS))),
        }
        if self.confidence is not None:
            shapes["confidence"] = (self.confidence.shape, (size, len(FIELDS)))
        for name, (found, expected) in shapes.items():
            if found != expected:
                raise FvrecError(f"pool.{name} has the wrong shape", found=found, allowed=str(expected))
        for name in ("relevance", "embeddings", "field_match", "confidence"):
            numbers = getattr(self, name)
            if numbers is not None and not np.isfinite(numbers).all():
                raise FvrecError(f"pool.{name} holds numbers that are not finite")
        if (self.values < 0).any() or (self.values > UNKNOWN_CODES).any():
            raise FvrecError("pool.values holds a code outside the schema", allowed=f"0 to {UNKNOWN_CODES.tolist()}")

    def __len__(self) -> int:
        return len(self.item_ids)


class Ranker(Protocol):
    """Chooses and orders ``k`` of a pool's candidates.

    ``rank`` returns distinct indices into the pool, best first; FvrecError when ``k`` exceeds the pool.
    """

    @property
    def name(self) -> str: ...

    def rank(self, pool: Pool, k: int) -> NDArray[np.int64]: ...


def encode_values(rows: Sequence[Mapping[str, str]]) -> NDArray[np.int16]:
    """Attribute mappings -> ``[N, 10]`` codes; a missing field counts as ``unknown``."""
    codes = np.empty((len(rows), len(FIELDS)), dtype=np.int16)
    for row, attributes in enumerate(rows):
        for column, field in enumerate(FIELDS):
            codes[row, column] = _CODES[field][attributes.get(field, UNKNOWN)]
    return codes


def check_list_length(pool: Pool, k: int) -> None:
    """FvrecError unless 1 <= k <= len(pool)."""
    if not 1 <= k <= len(pool):
        raise FvrecError("the list length does not fit the pool", where="k", found=k, allowed=f"1 to {len(pool)}")
