"""Fitting confidence on val: temperature, correction and abstention threshold per field (see ``calibrate.py``)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp

from fvrec.errors import FvrecError
from fvrec.schema import UNKNOWN, VALUES
from fvrec.vlm.calibrate import FieldCalibration
from fvrec.vlm.correctness import fit_correction
from fvrec.vlm.decoding_types import FieldScores

Floats = NDArray[np.float64]

LEAST_ITEMS = 20
"""With fewer labelled items than this a field keeps temperature 1: the fit would follow single products."""
_LIMITS = (0.05, 20.0)
_RESAMPLES = 1000


def fit(
    scores: Sequence[FieldScores], labels: Mapping[str, Sequence[str]], *, seed: int
) -> dict[str, FieldCalibration]:
    """Temperature, correction and abstention threshold of each field of one input variant.

    scores: ``N`` readings. labels: field -> ``N`` values, ``unknown`` where the item carries no label (it is left out).
    FvrecError when a label is none of the field's values.
    """
    return {name: _fit_field(name, scores, found, seed) for name, found in labels.items()}


def fit_temperature(log_probs: Floats, targets: NDArray[np.int64]) -> float:
    """The T in [0.05, 20] that makes the targets most likely. ``[N, V]`` log-probabilities, ``[N]`` indices."""
    low, high = (math.log(limit) for limit in _LIMITS)
    found = minimize_scalar(lambda t: _nll(log_probs, targets, math.exp(t)), bounds=(low, high), method="bounded")
    return math.exp(float(found.x))


def best_threshold(confidence: Floats, correct: Floats, *, seed: int) -> tuple[float, float]:
    """Threshold on confidence and the gain in F1 = 2 TP / (claims + labels) over answering always.

    ``(0, 0)`` unless the gain at the best threshold stays above zero in 97.5 % of bootstrap samples. ``[N]`` over
    the labelled items; an answer that claims nothing already has confidence 0 and is not correct.
    """
    claimed = confidence > 0
    order = np.argsort(-confidence, kind="stable")
    hits, claims = np.cumsum(correct[order]), np.cumsum(claimed[order])
    n = len(confidence)
    # Equal confidences go together: only the last of each is a place to cut.
    cuts = np.flatnonzero(np.diff(confidence[order], append=-1.0) < 0)
    f1 = 2 * hits[cuts] / (claims[cuts] + n)
    best = int(cuts[int(f1.argmax())])
    kept = np.zeros(n, dtype=bool)
    kept[order[: best + 1]] = True
    gain = _f1(correct * kept, claimed & kept) - _f1(correct, claimed)
    rng = np.random.default_rng(seed)
    resampled = []
    for _ in range(_RESAMPLES):
        rows = rng.integers(0, n, n)
        resampled.append(_f1((correct * kept)[rows], (claimed & kept)[rows]) - _f1(correct[rows], claimed[rows]))
    if gain <= 0 or float(np.percentile(resampled, 2.5)) <= 0:
        return 0.0, 0.0
    return float(confidence[order[best]]), float(gain)


def _fit_field(name: str, scores: Sequence[FieldScores], labels: Sequence[str], seed: int) -> FieldCalibration:
    values = {value: index for index, value in enumerate(VALUES[name])}
    foreign = sorted(set(labels) - set(values))
    if foreign:
        raise FvrecError("a label is none of the field's values", where=name, found=foreign[0], allowed=VALUES[name])
    rows = [(one, label) for one, label in zip(scores, labels, strict=True) if label != UNKNOWN]
    if len(rows) < LEAST_ITEMS:
        return FieldCalibration(items=len(rows))
    targets = np.array([values[label] for _, label in rows], dtype=np.int64)
    answers = np.array([one.greedy[name] for one, _ in rows], dtype=np.int64)
    log_probs = np.array([one.log_probs[name] for one, _ in rows], dtype=np.float64)
    temperature = fit_temperature(log_probs, targets)
    stated = np.exp(log_softmax(log_probs / temperature, axis=1))[np.arange(len(rows)), answers]
    correct, named = (answers == targets).astype(np.float64), answers != values[UNKNOWN]
    names = np.array(VALUES[name])[answers]
    correction = fit_correction(stated[named], correct[named], names[named], seed=seed)
    confidence = np.zeros(len(rows))
    confidence[named] = [correction.of(p, value) for p, value in zip(stated[named], names[named], strict=True)]
    threshold, gain = best_threshold(confidence, correct, seed=seed)
    before, after = _nll(log_probs, targets, 1.0), _nll(log_probs, targets, temperature)
    return FieldCalibration(temperature, threshold, len(rows), before, after, gain, correction)


def _nll(log_probs: Floats, targets: NDArray[np.int64], temperature: float) -> float:
    scaled = log_probs / temperature
    return float(np.mean(logsumexp(scaled, axis=1) - scaled[np.arange(len(targets)), targets]))


def _f1(correct: Floats, claimed: NDArray[np.bool_]) -> float:
    return float(2 * correct.sum() / (claimed.sum() + len(correct)))
