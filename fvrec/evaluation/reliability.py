"""Does the stated confidence say how often an answer is right? Numbers on arrays, free of any model.

Throughout: ``confidence`` ``[N]`` in [0, 1], ``correct`` ``[N]`` of 0 and 1, one entry an answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

Floats = NDArray[np.float64]

BINS = 15
SIMULATIONS = 400
_DRAWN_AT_ONCE = 4_000_000  # bounds the memory of a large sample


@dataclass(frozen=True)
class Bins:
    """Answers grouped by confidence: means of confidence and correctness ``[B]``, and how many are in each ``[B]``."""

    confidence: Floats
    accuracy: Floats
    count: NDArray[np.int64]


@dataclass(frozen=True)
class Band:
    """What the same measure gives when every confidence is exactly right, by simulation at the same answers.

    mean: what it gives on average; high: what it exceeds in 5 of 100 samples.
    """

    mean: float
    high: float


@dataclass(frozen=True)
class Coverage:
    """Error rate among the surest answers. coverage: their share of all; risk: 1 - accuracy."""

    coverage: float
    risk: float


def equal_mass_bins(confidence: Floats, correct: Floats, bins: int = BINS) -> Bins:
    """At most ``bins`` groups of (nearly) equal size; equal confidences are never parted, so ties make fewer bins."""
    index = _bin_index(confidence, bins)
    count = np.bincount(index)
    return Bins(
        confidence=np.bincount(index, confidence) / count, accuracy=np.bincount(index, correct) / count, count=count
    )


def plugin_ece(bins: Bins) -> float:
    """Expected calibration error, sum over bins of n_b / n * abs(confidence_b - accuracy_b). Never below what chance
    makes: with perfect confidences it is about .04 for 1,000 answers in 15 bins.

    >>> one = equal_mass_bins(np.array([0.9, 0.9, 0.9, 0.9]), np.array([1.0, 1.0, 1.0, 0.0]))
    >>> round(plugin_ece(one), 3)
    0.15
    """
    return float(np.average(np.abs(bins.confidence - bins.accuracy), weights=bins.count))


def debiased_ece(bins: Bins) -> float:
    """ECE with the part that chance adds taken off (Kumar, Liang, Ma 2019, "Verified uncertainty calibration").

    Each bin's accuracy is a mean of n_b draws, so about Normal(a_b, a_b(1 - a_b)/n_b) around the true one. What that
    noise adds to the plug-in value is its expectation under the same noise once more, minus the plug-in value; the
    folded normal's mean gives it without sampling. Not below 0.
    """
    return float(_debiased(bins.confidence, bins.accuracy[None, :], bins.count)[0])


def ece(confidence: Floats, correct: Floats, bins: int = BINS) -> float:
    """Debiased ECE in equal-mass bins. NaN without answers."""
    return debiased_ece(equal_mass_bins(confidence, correct, bins)) if len(confidence) else math.nan


def perfect_band(confidence: Floats, *, seed: int, bins: int = BINS, simulations: int = SIMULATIONS) -> Band:
    """The debiased ECE of these confidences were each exactly right (Bröcker and Smith 2007, consistency resampling).

    Correctness is drawn anew from each confidence, ``simulations`` times. NaN without answers.
    """
    n = len(confidence)
    if not n:
        return Band(math.nan, math.nan)
    order = np.argsort(_bin_index(confidence, bins), kind="stable")
    index, sure = _bin_index(confidence, bins)[order], confidence[order]
    starts = np.flatnonzero(np.diff(index, prepend=-1))
    count = np.diff(starts, append=n)
    means = np.add.reduceat(sure, starts) / count
    rng = np.random.default_rng(seed)
    rows = max(1, _DRAWN_AT_ONCE // n)
    values = np.empty(0)
    while len(values) < simulations:
        drawn = rng.random((min(rows, simulations - len(values)), n)) < sure
        accuracy = np.add.reduceat(drawn, starts, axis=1, dtype=np.float64) / count
        values = np.append(values, _debiased(means, accuracy, count))
    return Band(float(np.mean(values)), float(np.quantile(values, 0.95)))


def brier(confidence: Floats, correct: Floats) -> Floats:
    """``[N]``: (confidence - correct)² of each answer; their mean is the Brier score of the claimed value."""
    scores: Floats = (confidence - correct) ** 2
    return scores


def risk_coverage(confidence: Floats, correct: Floats, points: int = 20) -> list[Coverage]:
    """Error rate when only the surest share of the answers is given (El-Yaniv and Wiener 2010), at equal steps.

    Answers of equal confidence count by their mean, as if drawn at random. Empty without answers.
    """
    accuracy = _accuracy_of_surest(confidence, correct)
    shares = np.linspace(1 / points, 1.0, points) if len(accuracy) else np.array([])
    return [Coverage(float(share), 1.0 - float(accuracy[_rank(share, len(accuracy)) - 1])) for share in shares]


def accuracy_at(coverage: float, confidence: Floats, correct: Floats) -> float:
    """Accuracy among the surest ``coverage`` of the answers. NaN without answers.

    >>> accuracy_at(0.5, np.array([0.9, 0.2, 0.8, 0.1]), np.array([1.0, 0.0, 1.0, 1.0]))
    1.0
    """
    accuracy = _accuracy_of_surest(confidence, correct)
    return float(accuracy[_rank(coverage, len(accuracy)) - 1]) if len(accuracy) else math.nan


def answers_at(coverage: float, n: int) -> int:
    """How many of ``n`` answers the surest ``coverage`` of them are (rounded up, at least one when there is any)."""
    return min(_rank(coverage, n), n)


def _rank(share: float, n: int) -> int:
    return max(math.ceil(round(share * n, 9)), 1)


def _accuracy_of_surest(confidence: Floats, correct: Floats) -> Floats:
    """``[N]``: entry k - 1 is the expected accuracy of the k surest answers."""
    values, tie = np.unique(-confidence, return_inverse=True)
    means = np.bincount(tie, correct, minlength=len(values)) / np.maximum(np.bincount(tie, minlength=len(values)), 1)
    expected = means[np.sort(tie)]
    accuracy: Floats = np.cumsum(expected) / np.arange(1, len(expected) + 1)
    return accuracy


def _bin_index(confidence: Floats, bins: int) -> NDArray[np.int64]:
    """``[N]``: the bin of each answer, numbered without gaps."""
    edges = np.quantile(confidence, np.linspace(0, 1, bins + 1)[1:-1]) if len(confidence) else np.array([])
    _, index = np.unique(np.searchsorted(edges, confidence, side="right"), return_inverse=True)
    return index.astype(np.int64)


def _debiased(confidence: Floats, accuracy: Floats, count: NDArray[np.int64]) -> Floats:
    """``[S]``: the debiased ECE of each of S samples: accuracies ``[S, B]`` in the same bins, the rest ``[B]``."""
    gap = accuracy - confidence
    noise = np.sqrt(accuracy * (1 - accuracy) / count)
    share = count / count.sum()
    values: Floats = np.maximum((2 * np.abs(gap) - _folded_normal_mean(gap, noise)) @ share, 0.0)
    return values


def _folded_normal_mean(mean: Floats, deviation: Floats) -> Floats:
    """E abs(X) of X ~ Normal(mean, deviation²), elementwise."""
    safe = np.where(deviation > 0, deviation, 1.0)
    z = mean / safe
    folded = safe * math.sqrt(2 / math.pi) * np.exp(-(z**2) / 2) + mean * erf(z / math.sqrt(2))
    return np.where(deviation > 0, folded, np.abs(mean))
