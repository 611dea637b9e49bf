"""Fractions by hand, and two worlds whose calibration is known."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from fvrec.evaluation.reliability import (
    Bins,
    accuracy_at,
    answers_at,
    brier,
    debiased_ece,
    ece,
    equal_mass_bins,
    perfect_band,
    plugin_ece,
    risk_coverage,
)


def world(n: int, seed: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Confidences, and answers that are right that often less ``shift``."""
    rng = np.random.default_rng(seed)
    confidence = rng.beta(4, 1.5, n)
    return confidence, (rng.random(n) < confidence - shift).astype(float)


def test_bins_hold_equally_many_and_never_part_equals() -> None:
    bins = equal_mass_bins(np.linspace(0, 1, 150), np.zeros(150))
    assert bins.count.tolist() == [10] * 15
    tied = equal_mass_bins(np.array([0.9] * 70 + [0.1] * 30), np.array([1.0] * 70 + [0.0] * 30))
    assert sorted(tied.count.tolist()) == [30, 70]
    assert plugin_ece(tied) == pytest.approx(0.1)


def test_ece_by_hand() -> None:
    # Two confidences, 0.8 (right 3 of 4) and 0.4 (right 3 of 4): gaps 1/20 and 7/20, half the answers each.
    confidence, correct = np.array([0.8] * 4 + [0.4] * 4), np.array([1, 1, 1, 0] * 2, dtype=float)
    assert plugin_ece(equal_mass_bins(confidence, correct)) == pytest.approx(float(Fraction(1, 5)))


def test_debiasing_agrees_with_sampling_the_noise() -> None:
    bins = Bins(np.array([0.5, 0.7, 0.9]), np.array([0.55, 0.6, 1.0]), np.array([40, 60, 50]))
    rng = np.random.default_rng(0)
    noise = np.sqrt(bins.accuracy * (1 - bins.accuracy) / bins.count)
    drawn = bins.accuracy + noise * rng.standard_normal((400_000, 3))
    noisy = np.average(np.abs(drawn - bins.confidence), weights=bins.count, axis=1).mean()
    assert debiased_ece(bins) == pytest.approx(2 * plugin_ece(bins) - noisy, abs=2e-4)


def test_a_calibrated_world_lies_in_its_band_and_a_shifted_one_does_not() -> None:
    inside = 0
    for seed in range(40):
        confidence, correct = world(1000, seed)
        inside += ece(confidence, correct) <= perfect_band(confidence, seed=1).high
    assert 33 <= inside <= 40  # 38 expected
    confidence, correct = world(1000, 0, shift=0.1)
    assert ece(confidence, correct) > perfect_band(confidence, seed=1).high
    assert ece(confidence, correct) == pytest.approx(0.1, abs=0.03)


def test_chance_alone_measures_what_the_band_says() -> None:
    confidence, _ = world(1000, 3)
    rng = np.random.default_rng(5)
    chance = [
        debiased_ece(equal_mass_bins(confidence, (rng.random(1000) < confidence).astype(float))) for _ in range(200)
    ]
    band = perfect_band(confidence, seed=2)
    assert band.mean == pytest.approx(np.mean(chance), rel=0.15)
    assert band.high == pytest.approx(np.quantile(chance, 0.95), rel=0.15)
    assert perfect_band(confidence, seed=2) == band


def test_brier_is_the_mean_square() -> None:
    assert brier(np.array([0.9, 0.2]), np.array([1.0, 0.0])).tolist() == pytest.approx([0.01, 0.04])


def test_the_surest_are_counted_first_and_equals_by_their_mean() -> None:
    confidence, correct = np.array([0.9, 0.5, 0.5, 0.1]), np.array([1.0, 1.0, 0.0, 1.0])
    points = risk_coverage(confidence, correct, points=4)
    assert [point.coverage for point in points] == [0.25, 0.5, 0.75, 1.0]
    assert [point.risk for point in points] == pytest.approx([0, 1 - 1.5 / 2, 1 - 2 / 3, 1 / 4])
    assert accuracy_at(0.5, confidence, correct) == pytest.approx(0.75)
    assert (answers_at(0.8, 10), answers_at(0.9, 11), answers_at(0.9, 0)) == (8, 10, 0)


def test_without_answers_there_is_no_number() -> None:
    nothing = np.empty(0)
    assert np.isnan(ece(nothing, nothing))
    assert np.isnan(perfect_band(nothing, seed=0).high)
    assert np.isnan(accuracy_at(0.8, nothing, nothing))
    assert risk_coverage(nothing, nothing) == []
