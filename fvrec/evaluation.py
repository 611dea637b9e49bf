"""Extraction metrics on silver labels: validity rates, accuracy, micro- and macro-F1, majority share, confusions.

An invalid answer is a wrong claim in every field: it costs precision and recall. ``unknown`` claims nothing and costs
recall only. Only fields that the source supervises are scored, and of those only the items that have a label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from fvrec.records import Confusion, Item, Metric, Prediction
from fvrec.schema import UNKNOWN
from fvrec.stats import bootstrap_mean

INVALID = "(invalid)"
"""Stands for the prediction of an answer that broke the schema."""


@dataclass(frozen=True)
class Evaluation:
    """Metrics and confusions of one model under one input variant; ``correct``: field -> 0/1 per labelled item."""

    metrics: list[Metric]
    confusions: list[Confusion]
    correct: Mapping[str, NDArray[np.float64]] = field(repr=False)


def evaluate(
    predictions: Sequence[Prediction], truth: Mapping[str, Item], fields: Sequence[str], *, seed: int
) -> Evaluation:
    """Score predictions that share model, inputs and mode against the items' own labels.

    Intervals: 95 % bootstrap over products. KeyError when a predicted item has no truth.
    """
    scored = [score_field(name, predictions, truth) for name in fields]
    metrics = [
        *_rates(predictions, seed),
        *_per_field(scored, seed),
        *_overall(scored, seed),
        *_failures(predictions, scored),
    ]
    first, item = predictions[0], truth[predictions[0].item_id]
    return Evaluation(
        metrics=[
            replace(
                metric,
                model=first.model,
                inputs=first.inputs,
                mode=first.mode,
                source=item.source,
                split=item.split,
                seed=seed,
            )
            for metric in metrics
        ],
        confusions=[
            Confusion(first.model, first.inputs, first.mode, item.split, score.field, true, predicted, count)
            for score in scored
            for (true, predicted), count in sorted(Counter(zip(score.true, score.predicted, strict=True)).items())
        ],
        correct={score.field: score.correct for score in scored},
    )


@dataclass(frozen=True)
class FieldScore:
    """True and predicted values of one field over the labelled items."""

    field: str
    item_ids: tuple[str, ...]
    true: tuple[str, ...]
    predicted: tuple[str, ...]

    @property
    def correct(self) -> NDArray[np.float64]:
        return np.array([t == p for t, p in zip(self.true, self.predicted, strict=True)], dtype=np.float64)

    @property
    def majority_share(self) -> float:
        """Accuracy of always answering the most frequent true value. NaN without items."""
        return Counter(self.true).most_common(1)[0][1] / len(self.true) if self.true else float("nan")

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the values that occur among the true ones."""
        labels = sorted(set(self.true))
        if not labels:
            return float("nan")
        return float(f1_score(self.true, self.predicted, labels=labels, average="macro", zero_division=0))


def score_field(name: str, predictions: Sequence[Prediction], truth: Mapping[str, Item]) -> FieldScore:
    """Line up one field's labels and answers; items labelled ``unknown`` carry no label and are left out."""
    pairs = []
    for prediction in predictions:
        label = truth[prediction.item_id].attributes[name]
        if label.origin == "source" and label.value != UNKNOWN:
            pairs.append((prediction.item_id, label.value, prediction.attributes.get(name, INVALID)))
    ids, true, predicted = zip(*pairs, strict=True) if pairs else ((), (), ())
    return FieldScore(name, tuple(ids), tuple(true), tuple(predicted))


def _rates(predictions: Sequence[Prediction], seed: int) -> list[Metric]:
    return [
        _with_interval(name, [float(getattr(p, attribute)) for p in predictions], seed)
        for name, attribute in (("json_valid_rate", "json_valid"), ("schema_pass_rate", "schema_valid"))
    ]


def _per_field(scored: Sequence[FieldScore], seed: int) -> list[Metric]:
    metrics = []
    for score in scored:
        n = len(score.true)
        metrics += [
            replace(_with_interval("accuracy", score.correct, seed), field=score.field),
            Metric("extraction", "majority_share", score.majority_share, field=score.field, n=n),
            Metric("extraction", "macro_f1", score.macro_f1, field=score.field, n=n),
        ]
    return metrics


def _overall(scored: Sequence[FieldScore], seed: int) -> list[Metric]:
    """``micro_f1``: 2·TP / (claims + labels) over all fields; an invalid answer is a wrong claim."""
    per_item: dict[str, list[tuple[float, float, float]]] = {}
    for score in scored:
        for item_id, correct, predicted in zip(score.item_ids, score.correct, score.predicted, strict=True):
            # An answer of `unknown` is no claim, so it costs recall but not precision; breaking the schema is no way
            # to abstain.
            claimed = float(predicted != UNKNOWN)
            per_item.setdefault(item_id, []).append((correct, claimed, 1.0))
    counts = np.array([np.sum(rows, axis=0) for rows in per_item.values()]).reshape(-1, 3)
    low, high = _micro_f1_interval(counts, seed)
    macro = float(np.mean([score.macro_f1 for score in scored])) if scored else float("nan")
    return [
        Metric("extraction", "micro_f1", _micro_f1(counts), ci_low=low, ci_high=high, n=len(counts)),
        Metric("extraction", "macro_f1", macro, n=len(counts)),
    ]


def _micro_f1(counts: NDArray[np.float64]) -> float:
    correct, claimed, labelled = counts.sum(axis=0)
    return float(2 * correct / (claimed + labelled)) if labelled else float("nan")


def _micro_f1_interval(counts: NDArray[np.float64], seed: int, resamples: int = 1000) -> tuple[float, float]:
    if len(counts) == 0:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    values = [_micro_f1(counts[rng.integers(0, len(counts), len(counts))]) for _ in range(resamples)]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _failures(predictions: Sequence[Prediction], scored: Sequence[FieldScore]) -> list[Metric]:
    """How many answers fail, by class; ``attribute_confused``: valid, with a wrong value in some scored field."""
    classes = Counter(p.error_class for p in predictions if not p.schema_valid)
    valid = {p.item_id for p in predictions if p.schema_valid}
    wrong = {i for s in scored for i, ok in zip(s.item_ids, s.correct, strict=True) if not ok}
    classes["attribute_confused"] = len(valid & wrong)
    return [
        Metric("extraction", "failures", float(count), slice=name, n=len(predictions))
        for name, count in sorted(classes.items())
    ]


def _with_interval(name: str, values: Sequence[float] | NDArray[np.float64], seed: int) -> Metric:
    interval = bootstrap_mean(values, seed=seed)
    return Metric("extraction", name, interval.value, ci_low=interval.low, ci_high=interval.high, n=interval.n)
