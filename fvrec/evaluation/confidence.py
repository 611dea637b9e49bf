"""Confidence beside correctness, as metric rows and curves.

Two populations. Calibration (ECE, Brier, reliability) is about claims: valid answers that name a value, for items
that the source labels. Selection (risk-coverage, accuracy at a coverage) is about all labelled items: an answer that
claims nothing has confidence 0 and is wrong, so a model cannot look sure by leaving items out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fvrec.evaluation import reliability
from fvrec.evaluation.reliability import Floats
from fvrec.evaluation.scores import FieldScore
from fvrec.records import CurvePoint, Metric
from fvrec.stats import bootstrap_mean

STAGE = "extraction"
ECE_TARGET = 0.03
COVERAGES = (0.8, 0.9)
POOLED = ""
"""Field of the rows over the claims of all fields together."""
_RESAMPLES = 2000


@dataclass(frozen=True)
class Reliability:
    """Metric rows and curve points of one variant; ``kind`` is in their ``params``."""

    metrics: list[Metric]
    curves: list[CurvePoint]


def confidence_report(scores: Sequence[FieldScore], *, kind: str, seed: int) -> Reliability:
    """How well the stated confidence of each field, and of all together, tells right from wrong.

    kind: ``verbalised`` (the model wrote it), ``computed`` (probability of the value) or ``scaled`` (with the
    temperature of its field). Metrics: ``ece``, ``ece_plugin``, ``ece_perfect`` (what perfect calibration gives here;
    its upper limit in ci_high), ``ece_accepted`` (1: at most .03, or within that limit), ``brier``,
    ``accuracy_at_coverage`` (slices ``coverage=0.8``, ``coverage=0.9``). Curves: ``reliability``, ``risk_coverage``.
    """
    pooled = _pooled(scores)
    metrics: list[Metric] = []
    curves: list[CurvePoint] = []
    for score in (*scores, pooled):
        metrics += [*_calibration(score, kind, seed), *_selection(score, kind, seed)]
        curves += [*_reliability_curve(score, kind), *_risk_curve(score, kind)]
    return Reliability(metrics, curves)


def _pooled(scores: Sequence[FieldScore]) -> FieldScore:
    return FieldScore(
        POOLED,
        tuple(item_id for score in scores for item_id in score.item_ids),
        tuple(value for score in scores for value in score.true),
        tuple(value for score in scores for value in score.predicted),
        np.concatenate([score.confidence for score in scores]) if scores else np.empty(0),
    )


def _claims(score: FieldScore) -> tuple[Floats, Floats]:
    return score.confidence[score.claimed], score.correct[score.claimed]


def _calibration(score: FieldScore, kind: str, seed: int) -> list[Metric]:
    confidence, correct = _claims(score)
    n = len(confidence)
    if not n:
        return []
    bins = reliability.equal_mass_bins(confidence, correct)
    measured = reliability.debiased_ece(bins)
    band = reliability.perfect_band(confidence, seed=seed)
    accepted = measured <= max(ECE_TARGET, band.high)
    shared: dict[str, Any] = {"field": score.field, "n": n, "params": {"confidence": kind}}
    interval = bootstrap_mean(reliability.brier(confidence, correct), seed=seed)
    # No interval for the ECE: resampled answers repeat, which the measure takes for miscalibration.
    return [
        Metric(STAGE, "ece", measured, **shared),
        Metric(STAGE, "ece_plugin", reliability.plugin_ece(bins), **shared),
        Metric(STAGE, "ece_perfect", band.mean, ci_low=0.0, ci_high=band.high, **shared),
        Metric(STAGE, "ece_accepted", float(accepted), **shared),
        # Of one field alone: the answers on one item are not independent.
        Metric(STAGE, "brier", interval.value, ci_low=interval.low, ci_high=interval.high, **shared)
        if score.field
        else Metric(STAGE, "brier", interval.value, **shared),
    ]


def _selection(score: FieldScore, kind: str, seed: int) -> list[Metric]:
    if score.field == POOLED or not len(score.confidence):
        return []
    rng = np.random.default_rng(seed)
    metrics = []
    for coverage in COVERAGES:
        value = reliability.accuracy_at(coverage, score.confidence, score.correct)
        n = reliability.answers_at(coverage, len(score.confidence))
        # The bootstrap of a mean of zeros and ones is a binomial draw.
        low, high = np.percentile(rng.binomial(n, min(max(value, 0.0), 1.0), _RESAMPLES) / n, [2.5, 97.5])
        metrics.append(
            Metric(
                STAGE,
                "accuracy_at_coverage",
                value,
                field=score.field,
                slice=f"coverage={coverage}",
                ci_low=float(low),
                ci_high=float(high),
                n=n,
                params={"confidence": kind},
            )
        )
    return metrics


def _reliability_curve(score: FieldScore, kind: str) -> list[CurvePoint]:
    confidence, correct = _claims(score)
    if not len(confidence):
        return []
    bins = reliability.equal_mass_bins(confidence, correct)
    rows = zip(bins.confidence, bins.accuracy, bins.count, strict=True)
    return [
        CurvePoint(
            STAGE,
            "reliability",
            float(x),
            float(y),
            {"field": score.field, "confidence": kind, "bin": bin_, "n": int(n)},
        )
        for bin_, (x, y, n) in enumerate(rows)
    ]


def _risk_curve(score: FieldScore, kind: str) -> list[CurvePoint]:
    if score.field == POOLED:
        return []
    found = reliability.risk_coverage(score.confidence, score.correct)
    params = {"field": score.field, "confidence": kind}
    return [CurvePoint(STAGE, "risk_coverage", point.coverage, point.risk, params) for point in found]
