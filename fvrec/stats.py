"""Bootstrap intervals: every accuracy and every difference that a report shows carries one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000
_DRAWN_AT_ONCE = 1_000_000  # bounds the memory of a large sample


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % percentile-bootstrap interval over ``n`` independent units."""

    value: float
    low: float
    high: float
    n: int

    @property
    def above_zero(self) -> bool:
        """The whole interval lies above zero."""
        return self.low > 0.0


def bootstrap_mean(values: ArrayLike, *, seed: int, resamples: int = RESAMPLES) -> Interval:
    """Mean of one number per unit (a product, a query, a user) with its interval. NaN when there is no unit.

    >>> bootstrap_mean([1.0, 1.0, 1.0], seed=0)
    Interval(value=1.0, low=1.0, high=1.0, n=3)
    """
    sample: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1:
        raise ValueError(f"one number per unit is needed, not an array of shape {sample.shape}")
    if sample.size == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    rows = max(1, _DRAWN_AT_ONCE // sample.size)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        means[start : start + count] = sample[rng.integers(0, sample.size, (count, sample.size))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(sample.mean()), float(low), float(high), int(sample.size))


def paired_difference(first: ArrayLike, second: ArrayLike, *, seed: int) -> Interval:
    """Mean of ``first - second`` over the same units, in the same order, with its interval."""
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"paired samples must have one shape: {a.shape} and {b.shape}")
    return bootstrap_mean(a - b, seed=seed)


def bootstrap_ratio(first: ArrayLike, second: ArrayLike, *, seed: int, resamples: int = RESAMPLES) -> Interval:
    """Ratio of two means over the same units, in the same order, with its interval.

    >>> bootstrap_ratio([1.0, 3.0], [2.0, 6.0], seed=0)
    Interval(value=0.5, low=0.5, high=0.5, n=2)
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or not a.size:
        raise ValueError(f"paired samples must have one shape, and a unit: {a.shape} and {b.shape}")
    rng = np.random.default_rng(seed)
    ratios = np.empty(resamples)
    for index in range(resamples):
        rows = rng.integers(0, a.size, a.size)
        ratios[index] = a[rows].mean() / b[rows].mean()
    low, high = np.percentile(ratios, [2.5, 97.5])
    return Interval(float(a.mean() / b.mean()), float(low), float(high), int(a.size))


def paired_p_value(differences: ArrayLike) -> float:
    """Two-sided p-value of a paired t-test; 1 where nothing differs or one unit tells nothing.

    >>> paired_p_value([0.0, 0.0])
    1.0
    """
    from scipy.stats import ttest_1samp

    sample = np.asarray(differences, dtype=np.float64)
    return float(ttest_1samp(sample, 0.0).pvalue) if sample.size > 1 and np.ptp(sample) > 0 else 1.0


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values of one family of tests, corrected so that any false alarm has at most the stated chance (Holm, 1979).

    The smallest is multiplied by their number, the next by one less, and so on; none is smaller than the one before.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    corrected, least = {}, 0.0
    for rank, (name, value) in enumerate(sorted(p_values.items(), key=lambda pair: pair[1])):
        least = max(least, min(1.0, (len(p_values) - rank) * value))
        corrected[name] = least
    return corrected
