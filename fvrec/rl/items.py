"""The items of the simulation as arrays: what is true of them, and what the extractor says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fvrec.errors import FvrecError
from fvrec.records import Item, Prediction
from fvrec.rerank.labels import source_labels
from fvrec.rerank.pool import UNKNOWN_CODES, encode_values
from fvrec.schema import FIELDS, VALUES

VALUE_SLOTS = max(len(values) for values in VALUES.values())
"""Width of a table that has one cell for every value of every field: ``[10, VALUE_SLOTS]``."""
LONG_TAIL_MASS = 0.2
"""The rarest values of a field that together hold at most this share of its known items are its long tail."""


@dataclass(frozen=True)
class ItemTable:
    """``N`` items of one split.

    true_values, predicted_values: ``[N, 10]`` int16, codes in ``VALUES[field]``. confidence: ``[N, 10]`` float32 in
    [0, 1], of the predicted values. embeddings: ``[N, D]`` float32, rows of length 1. True values feed the reward,
    predicted ones the observation. Raises FvrecError on mismatched shapes, codes outside the schema, confidences
    outside [0, 1], embeddings that are not finite, and duplicate ids.
    """

    item_ids: tuple[str, ...]
    true_values: NDArray[np.int16]
    predicted_values: NDArray[np.int16]
    confidence: NDArray[np.float32]
    embeddings: NDArray[np.float32]

    def __post_init__(self) -> None:
        size = len(self.item_ids)
        if size == 0:
            raise FvrecError("there are no items to simulate with", where="items.item_ids")
        if len(set(self.item_ids)) != size:
            raise FvrecError("an item id occurs twice", where="items.item_ids")
        for name in ("true_values", "predicted_values", "confidence"):
            _check_shape(name, getattr(self, name).shape, (size, len(FIELDS)))
        for name in ("true_values", "predicted_values"):
            _check_codes(name, getattr(self, name))
        _check_shape("embeddings", self.embeddings.shape, (size, *self.embeddings.shape[1:2]))
        if not np.isfinite(self.embeddings).all():
            raise FvrecError("an embedding holds a number that is not finite", where="items.embeddings")
        if not ((self.confidence >= 0) & (self.confidence <= 1)).all():
            raise FvrecError("a confidence lies outside [0, 1]", where="items.confidence")

    def __len__(self) -> int:
        return len(self.item_ids)

    @cached_property
    def value_share(self) -> NDArray[np.float64]:
        """``[10, VALUE_SLOTS]``: share of each true value among the items that have one; zeros where no item has."""
        return _value_share(self.true_values)

    @cached_property
    def predicted_share(self) -> NDArray[np.float64]:
        """``value_share`` as the extractor reads it: all that a ranker may know of the catalogue's distribution."""
        return _value_share(self.predicted_values)

    @cached_property
    def rare_values(self) -> NDArray[np.bool_]:
        """``[10, VALUE_SLOTS]``: the true values that are in the long tail of their field."""
        return _tail_of(self.value_share)

    @cached_property
    def long_tail(self) -> NDArray[np.float32]:
        """``[N]`` in [0, 1]: share of an item's known true values that are in the long tail of their field."""
        known = self.true_values != UNKNOWN_CODES
        in_tail = self.rare_values[np.arange(len(FIELDS)), self.true_values] & known
        return (in_tail.sum(axis=1) / np.maximum(1, known.sum(axis=1))).astype(np.float32)

    def take(self, rows: NDArray[np.integer]) -> ItemTable:
        """The items at ``rows``, as a table of their own."""
        return ItemTable(
            tuple(self.item_ids[row] for row in rows),
            self.true_values[rows],
            self.predicted_values[rows],
            self.confidence[rows],
            self.embeddings[rows],
        )


def split_items(items: ItemTable, *, share: float, seed: int) -> tuple[ItemTable, ItemTable]:
    """Two tables that share no item: about ``share`` of them first, at least one on each side."""
    if len(items) < 2:
        raise FvrecError("one item cannot be split in two", found=len(items), allowed="2 or more")
    order = np.random.default_rng([seed, len(items)]).permutation(len(items))
    cut = min(max(1, round(share * len(items))), len(items) - 1)
    return items.take(np.sort(order[:cut])), items.take(np.sort(order[cut:]))


def build_items(items: Sequence[Item], predictions: Iterable[Prediction], embeddings: ArrayLike) -> ItemTable:
    """Join items with their predictions (by item_id) and embeddings (``[N, D]``, in the order of ``items``).

    True values are the source's own labels (``source_labels``); what a rule derived counts as unknown.
    An item without a schema-valid prediction counts as read as unknown with confidence 0. Embeddings are scaled to
    length 1. Raises FvrecError on an embedding matrix of another length, of zeros, or with NaN.
    """
    by_id = {prediction.item_id: prediction for prediction in predictions if prediction.schema_valid}
    found = [by_id.get(item.item_id) for item in items]
    confidence = [[p.confidence.get(field, 0.0) if p else 0.0 for field in FIELDS] for p in found]
    return ItemTable(
        item_ids=tuple(item.item_id for item in items),
        true_values=encode_values([source_labels(item) for item in items]),
        predicted_values=encode_values([p.attributes if p else {} for p in found]),
        confidence=np.asarray(confidence, dtype=np.float32).reshape(len(items), len(FIELDS)),
        embeddings=_unit_rows(np.asarray(embeddings, dtype=np.float32)),
    )


def _tail_of(share: NDArray[np.float64]) -> NDArray[np.bool_]:
    order = np.argsort(share, axis=1, kind="stable")
    mass = np.cumsum(np.take_along_axis(share, order, axis=1), axis=1)
    tail = np.zeros_like(share, dtype=bool)
    np.put_along_axis(tail, order, mass <= LONG_TAIL_MASS, axis=1)
    return tail


def _value_share(values: NDArray[np.int16]) -> NDArray[np.float64]:
    share = np.zeros((len(FIELDS), VALUE_SLOTS))
    for column, unknown in enumerate(UNKNOWN_CODES):
        codes = values[:, column]
        counts = np.bincount(codes[codes != unknown], minlength=VALUE_SLOTS)
        share[column] = counts / max(1, counts.sum())
    return share


def _unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        raise FvrecError("an embedding is zero or not finite", where="items.embeddings")
    return (vectors / lengths).astype(np.float32)


def _check_shape(name: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected or len(expected) != 2:
        raise FvrecError(f"items.{name} has the wrong shape", found=found, allowed=str(expected))


def _check_codes(name: str, codes: NDArray[np.int16]) -> None:
    if (codes < 0).any() or (codes > UNKNOWN_CODES).any():
        raise FvrecError(f"items.{name} holds a code outside the schema", allowed=f"0 to {UNKNOWN_CODES.tolist()}")
