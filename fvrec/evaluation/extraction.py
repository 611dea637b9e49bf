"""Extraction metrics on silver labels: validity rates, accuracy, micro- and macro-F1, majority share, confusions.

``macro_f1`` is over all values that occur; ``macro_f1_frequent`` over those with at least 20 labelled items.

An invalid answer is a wrong claim in every field: it costs precision and recall. ``unknown`` claims nothing and costs
recall only. Only fields that the source supervises are scored, and of those only the items that have a label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.evaluation.confidence import Reliability, confidence_report
from fvrec.evaluation.failures import CLASSES, failure_class
from fvrec.evaluation.scores import FREQUENT, FieldScore, score_field
from fvrec.records import Confusion, CurvePoint, Item, Metric, Prediction
from fvrec.schema import UNKNOWN
from fvrec.stats import bootstrap_mean, paired_difference


@dataclass(frozen=True)
class Evaluation:
    """What one model reads under one input variant in one mode.

    ``correct``: field -> item_id -> 0 or 1, over the items that have a label.
    """

    metrics: list[Metric]
    confusions: list[Confusion]
    curves: list[CurvePoint]
    correct: Mapping[str, Mapping[str, float]] = field(repr=False)


def evaluate(
    predictions: Sequence[Prediction],
    truth: Mapping[str, Item],
    fields: Sequence[str],
    *,
    seed: int,
    kind: str = "verbalised",
    split: str = "",
) -> Evaluation:
    """Score predictions of one model, input variant and mode against the items' own labels.

    kind: how the confidences came about, see ``confidence_report``. split: the name that the rows bear; left out, it
    is the items' own. Intervals: 95 % bootstrap over products. KeyError when a predicted item has no truth; FvrecError
    when there is nothing to score, or when variants or splits are mixed.
    """
    named = _variant(predictions, truth, split)
    scored = [score_field(name, predictions, truth) for name in fields]
    metrics = [
        *_rates(predictions, seed),
        *_per_field(scored, seed),
        *_overall(scored, seed),
        *_failures(predictions, truth, fields),
    ]
    confidence = _stamped(confidence_report(scored, kind=kind, seed=seed), named, seed)
    variant = {"model": named.model, "inputs": named.inputs, "mode": named.mode}
    matrices = {score.field: Counter(zip(score.true, score.predicted, strict=True)) for score in scored}
    return Evaluation(
        metrics=[*_named(metrics, named, seed), *confidence.metrics],
        confusions=[
            Confusion(**variant, split=named.split, field=name, true_value=true, predicted_value=predicted, n=count)
            for name, matrix in matrices.items()
            for (true, predicted), count in sorted(matrix.items())
        ],
        curves=confidence.curves,
        correct={score.field: dict(zip(score.item_ids, score.correct.tolist(), strict=True)) for score in scored},
    )


def evaluate_confidence(
    predictions: Sequence[Prediction],
    truth: Mapping[str, Item],
    fields: Sequence[str],
    *,
    seed: int,
    kind: str,
    split: str = "",
) -> Reliability:
    """The part of ``evaluate`` that is about confidence, for confidences that came about otherwise."""
    scored = [score_field(name, predictions, truth) for name in fields]
    return _stamped(confidence_report(scored, kind=kind, seed=seed), _variant(predictions, truth, split), seed)


def compare_modes(constrained: Evaluation, raw: Evaluation, *, seed: int) -> list[Metric]:
    """``accuracy_difference`` per field, constrained minus raw on the same items, with a paired bootstrap interval."""
    first_row = constrained.metrics[0]
    named = _Variant(first_row.model, first_row.inputs, first_row.mode, first_row.source, first_row.split)
    rows = []
    for name, first in constrained.correct.items():
        second = raw.correct.get(name, {})
        both = [item_id for item_id in first if item_id in second]
        gain = paired_difference([first[i] for i in both], [second[i] for i in both], seed=seed)
        row = Metric("extraction", "accuracy_difference", gain.value, ci_low=gain.low, ci_high=gain.high, n=gain.n)
        rows.append(replace(row, field=name, params={"against": "raw"}))
    return _named(rows, named, seed)


@dataclass(frozen=True)
class _Variant:
    """What all rows of one evaluation have in common."""

    model: str
    inputs: str
    mode: str
    source: str
    split: str


def _variant(predictions: Sequence[Prediction], truth: Mapping[str, Item], split: str) -> _Variant:
    if not predictions:
        raise FvrecError("nothing to score: there are no predictions")
    found = {
        _Variant(p.model, p.inputs, p.mode, truth[p.item_id].source, split or truth[p.item_id].split)
        for p in predictions
    }
    if len(found) > 1:
        raise FvrecError("variants are scored one at a time", found=sorted(map(str, found))[:4])
    return found.pop()


def _named(metrics: Sequence[Metric], named: _Variant, seed: int) -> list[Metric]:
    return [
        replace(
            row,
            model=named.model,
            inputs=named.inputs,
            mode=named.mode,
            source=named.source,
            split=named.split,
            seed=seed,
        )
        for row in metrics
    ]


def _stamped(confidence: Reliability, named: _Variant, seed: int) -> Reliability:
    variant = {"model": named.model, "inputs": named.inputs, "mode": named.mode, "split": named.split}
    curves = [replace(point, params={**variant, **point.params}) for point in confidence.curves]
    return Reliability(_named(confidence.metrics, named, seed), curves)


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
            Metric("extraction", "field_f1", score.micro_f1, field=score.field, n=n),
            Metric("extraction", "macro_f1", score.macro_f1(), field=score.field, n=n),
            Metric("extraction", "macro_f1_frequent", score.macro_f1(at_least=FREQUENT), field=score.field, n=n),
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
    # A field without any labelled item in this split has no F1; the others' mean stands.
    macro = [value for score in scored if not np.isnan(value := score.macro_f1())]
    frequent = [value for score in scored if not np.isnan(value := score.macro_f1(at_least=FREQUENT))]
    n = len(counts)
    return [
        Metric("extraction", "micro_f1", _micro_f1(counts), ci_low=low, ci_high=high, n=n),
        Metric("extraction", "macro_f1", float(np.mean(macro)) if macro else float("nan"), n=n),
        Metric("extraction", "macro_f1_frequent", float(np.mean(frequent)) if frequent else float("nan"), n=n),
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


def _failures(predictions: Sequence[Prediction], truth: Mapping[str, Item], fields: Sequence[str]) -> list[Metric]:
    """How many answers fail, by class; every class has its row, also when it never occurs."""
    found = Counter(failure_class(p, truth[p.item_id], fields) for p in predictions)
    return [
        Metric("extraction", "failures", float(found.get(name, 0)), slice=name, n=len(predictions)) for name in CLASSES
    ]


def _with_interval(name: str, values: Sequence[float] | NDArray[np.float64], seed: int) -> Metric:
    interval = bootstrap_mean(values, seed=seed)
    return Metric("extraction", name, interval.value, ci_low=interval.low, ci_high=interval.high, n=interval.n)
