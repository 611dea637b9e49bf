"""One field's labels and answers side by side, and what follows from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from fvrec.records import Item, Prediction
from fvrec.schema import UNKNOWN

INVALID = "(invalid)"
"""Stands for the prediction of an answer that broke the schema."""
FREQUENT = 20
"""From so many labelled items on, a value's own F1 is more than the luck of a few products."""


@dataclass(frozen=True)
class FieldScore:
    """True and predicted values of one field over the labelled items, with the confidence stated for each answer.

    ``confidence`` is 0 where the answer claims nothing: it is ``unknown`` or broke the schema.
    """

    field: str
    item_ids: tuple[str, ...]
    true: tuple[str, ...]
    predicted: tuple[str, ...]
    confidence: NDArray[np.float64]

    @property
    def correct(self) -> NDArray[np.float64]:
        """``[N]`` of 0 and 1."""
        return np.array([t == p for t, p in zip(self.true, self.predicted, strict=True)], dtype=np.float64)

    @property
    def claimed(self) -> NDArray[np.bool_]:
        """``[N]``: the answer is a valid one and names a value."""
        return np.array([p not in (UNKNOWN, INVALID) for p in self.predicted], dtype=bool)

    @property
    def majority_share(self) -> float:
        """Accuracy of always answering the most frequent true value. NaN without items."""
        return Counter(self.true).most_common(1)[0][1] / len(self.true) if self.true else float("nan")

    @property
    def micro_f1(self) -> float:
        """2 TP / (claims + labels); an invalid answer is a wrong claim, ``unknown`` is none. NaN without items."""
        claims = sum(predicted != UNKNOWN for predicted in self.predicted)
        return float(2 * self.correct.sum() / (claims + len(self.true))) if self.true else float("nan")

    def macro_f1(self, *, at_least: int = 1) -> float:
        """Mean F1 over the values that ``at_least`` so many items truly have. NaN when there is none."""
        labels = sorted(value for value, count in Counter(self.true).items() if count >= at_least)
        if not labels:
            return float("nan")
        return float(f1_score(self.true, self.predicted, labels=labels, average="macro", zero_division=0))


def label(item: Item, name: str) -> str:
    """The source's own label; ``unknown`` where it gives none: what a rule read from the title judges nobody."""
    attribute = item.attributes[name]
    return attribute.value if attribute.origin == "source" else UNKNOWN


def score_field(name: str, predictions: Sequence[Prediction], truth: Mapping[str, Item]) -> FieldScore:
    """Line up one field's labels and answers; items labelled ``unknown`` carry no label and are left out."""
    rows = []
    for prediction in predictions:
        true_value = label(truth[prediction.item_id], name)
        if true_value != UNKNOWN:
            answer = prediction.attributes.get(name, INVALID)
            stated = 0.0 if answer in (UNKNOWN, INVALID) else float(prediction.confidence.get(name, 0.0))
            rows.append((prediction.item_id, true_value, answer, stated))
    ids, true, predicted, confidence = zip(*rows, strict=True) if rows else ((), (), (), ())
    return FieldScore(name, tuple(ids), tuple(true), tuple(predicted), np.array(confidence, dtype=np.float64))
