from __future__ import annotations

import math

import numpy as np
import pytest

from fvrec.stats import bootstrap_mean, holm, paired_difference


def test_interval_covers_the_mean_and_narrows_with_more_units() -> None:
    rng = np.random.default_rng(0)
    small, large = (bootstrap_mean(rng.normal(1.0, 1.0, n), seed=0) for n in (30, 3000))
    for interval in (small, large):
        assert interval.low < interval.value < interval.high
    assert large.high - large.low < (small.high - small.low) / 5


def test_coverage_of_the_truth_is_near_95_percent() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(200):
        interval = bootstrap_mean(rng.normal(0.0, 1.0, 60), seed=trial, resamples=300)
        hits += interval.low <= 0.0 <= interval.high
    assert 0.88 <= hits / 200 <= 0.99


def test_paired_difference_sees_what_unpaired_cannot() -> None:
    rng = np.random.default_rng(2)
    first = rng.normal(0.0, 10.0, 100)
    assert paired_difference(first + 0.1, first, seed=0).above_zero
    assert not paired_difference(first, first, seed=0).above_zero


def test_no_unit_gives_nan_and_shapes_must_agree() -> None:
    assert math.isnan(bootstrap_mean([], seed=0).value)
    with pytest.raises(ValueError, match="one shape"):
        paired_difference([1.0], [1.0, 2.0], seed=0)


def test_holm_multiplies_by_the_tests_that_are_left_and_never_orders_them_anew() -> None:
    corrected = holm({"clear": 0.001, "near": 0.02, "nearer": 0.019, "none": 0.9})
    # 4 * .001; 3 * .019 = .057; 2 * .02 = .04, not below .057; 1 * .9
    assert corrected == pytest.approx({"clear": 0.004, "nearer": 0.057, "near": 0.057, "none": 0.9})
    assert holm({"one": 0.5, "other": 0.8}) == {"one": 1.0, "other": 1.0}
    assert holm({}) == {}
