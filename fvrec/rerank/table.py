"""Candidates made ready for scoring once and kept: value codes, text index, embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from threading import Lock
from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.records import CandidateSet, Item, Prediction
from fvrec.rerank.pool import encode_values
from fvrec.rerank.score import ScoreWeights, base_score, image_similarity
from fvrec.rerank.text import TextIndex
from fvrec.schema import FIELDS, UNKNOWN


class Candidates(Protocol):
    """``N`` items with what a model read on them, row by row (``fvrec.records.CandidateSet`` and its like).

    One that is asked again is known by its identity: hashed by it, and open to weak references.
    """

    @property
    def item_ids(self) -> Sequence[str]: ...
    @property
    def items(self) -> Sequence[Item]: ...
    @property
    def attributes(self) -> Sequence[Mapping[str, str]]: ...
    @property
    def confidence(self) -> Sequence[Mapping[str, float]]: ...
    @property
    def embeddings(self) -> NDArray[np.float32]: ...


class CandidateTable:
    """The arrays behind a candidate set, so that scoring touches no Python object. It does not hold the set itself.

    values: ``[N, 10]`` int16 codes; confidence: ``[N, 10]`` float32 of each; embeddings: ``[N, D]`` float32.
    """

    def __init__(self, candidates: Candidates) -> None:
        sizes = [len(candidates.items), len(candidates.attributes), len(candidates.confidence)]
        self.item_ids = tuple(candidates.item_ids)
        if not self.item_ids:
            raise FvrecError("there is nothing to choose from: the store offers no candidate")
        if {len(self.item_ids), len(candidates.embeddings)} != set(sizes):
            raise FvrecError("the rows of a candidate set do not match", found=[*sizes, len(candidates.embeddings)])
        self._items = candidates.items
        # Column by column in memory, as constraints read them.
        self.values = np.asfortranarray(encode_values(candidates.attributes))
        self.confidence = np.asfortranarray(_confidences(candidates.confidence))
        self.embeddings = np.asarray(candidates.embeddings, dtype=np.float32)

    @cached_property
    def text(self) -> TextIndex:
        """Index of titles and descriptions."""
        return TextIndex([f"{item.title}\n{item.description}" for item in self._items])

    def base_score(
        self, query: str, reference: NDArray[np.floating] | None, weights: ScoreWeights
    ) -> NDArray[np.float64]:
        """``[N]`` in [0, 1]: similarity of texts to ``query`` and, where given, of pictures to ``reference``."""
        image = None if reference is None else image_similarity(self.embeddings, reference)
        return base_score(self.text.similarity(query), image, weights)


# For as long as somebody holds the candidates: those of a snapshot that nobody shows any more take their table along.
_tables: WeakKeyDictionary[Candidates, CandidateTable] = WeakKeyDictionary()
_lock = Lock()


def table_of(candidates: Candidates) -> CandidateTable:
    """The table of these candidates, kept while they are, so that asking the same store again costs nothing."""
    with _lock:
        table = _tables.get(candidates)
        if table is None:
            table = _tables[candidates] = CandidateTable(candidates)
        return table


def candidate_set(
    items: Sequence[Item], predictions: Iterable[Prediction], embeddings: NDArray[np.float32] | None = None
) -> CandidateSet:
    """Items beside one model's predictions on them (one variant: each item at most once), matched by item_id.

    An item without a valid answer is ``unknown`` with confidence 0 throughout. embeddings: ``[N, D]`` in the items'
    order, or None. Raises FvrecError when two predictions are for one item.
    """
    answers: dict[str, Prediction] = {}
    for prediction in predictions:
        if prediction.item_id in answers:
            raise FvrecError(
                "two predictions for one item: choose one model, inputs and mode", found=prediction.item_id
            )
        answers[prediction.item_id] = prediction
    valid = [_valid(answers.get(item.item_id)) for item in items]
    return CandidateSet(
        item_ids=tuple(item.item_id for item in items),
        items=tuple(items),
        attributes=tuple(dict(one.attributes) if one else dict.fromkeys(FIELDS, UNKNOWN) for one in valid),
        confidence=tuple(dict(one.confidence) if one else dict.fromkeys(FIELDS, 0.0) for one in valid),
        embeddings=np.zeros((len(items), 0), dtype=np.float32) if embeddings is None else embeddings,
    )


def _confidences(rows: Sequence[Mapping[str, float]]) -> NDArray[np.float32]:
    """``[N, 10]``: fields in the schema's order; a missing one counts 0."""
    flat = np.fromiter((row.get(field, 0.0) for row in rows for field in FIELDS), np.float32, len(rows) * len(FIELDS))
    return flat.reshape(len(rows), len(FIELDS))


def _valid(prediction: Prediction | None) -> Prediction | None:
    return prediction if prediction is not None and prediction.schema_valid else None
