"""A temperature that is enough is left alone; what it cannot mend is mended on answers that were not fitted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from fvrec.evaluation.reliability import ece
from fvrec.schema import UNKNOWN, VALUES
from fvrec.vlm.calibrate import Calibration, FieldCalibration
from fvrec.vlm.correctness import LEAST_CLAIMS, UNCHANGED, Correction, fit_correction

SEASONS = VALUES["season"]


def answers(n: int, seed: int, *, bias: dict[str, float], slope: float = 1.0) -> tuple[np.ndarray, ...]:
    """Stated probabilities, correctness drawn from the true ones, and the values that are named."""
    rng = np.random.default_rng(seed)
    stated, values = rng.uniform(0.3, 0.98, n), rng.choice(SEASONS[:4], n)
    true = expit(slope * logit(stated) + np.array([bias.get(value, 0.0) for value in values]))
    return stated, (rng.random(n) < true).astype(float), values


def mended(correction: Correction, stated: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.array([correction.of(p, value) for p, value in zip(stated, values, strict=True)])


@pytest.mark.parametrize("seed", range(5))
def test_confidence_that_is_right_already_is_left_as_it_is(seed: int) -> None:
    assert fit_correction(*answers(1000, seed, bias={}), seed=0) == UNCHANGED


def test_a_slope_is_found_with_no_more_than_it_takes() -> None:
    fitted = fit_correction(*answers(3000, 1, bias={}, slope=0.4), seed=0)
    assert fitted.form == "beta"
    stated, correct, values = answers(6000, 2, bias={}, slope=0.4)
    assert ece(stated, correct) > 0.06
    assert ece(mended(fitted, stated, values), correct) < 0.02


def test_values_that_are_surer_than_right_are_told_from_those_that_are_not() -> None:
    bias = {"summer": -1.5, "winter": 1.0}
    fitted = fit_correction(*answers(1500, 3, bias=bias), seed=0)
    assert fitted.form == "beta+values"
    assert fitted.offsets["summer"] < fitted.offsets["spring"] < fitted.offsets["winter"]
    stated, correct, values = answers(6000, 4, bias=bias)
    for value in bias:
        named = values == value
        after = ece(mended(fitted, stated, values)[named], correct[named])
        assert after < 0.35 * ece(stated[named], correct[named])


def test_few_answers_or_one_outcome_move_nothing() -> None:
    stated, correct, values = answers(LEAST_CLAIMS - 1, 5, bias={"summer": -3.0})
    assert fit_correction(stated, correct, values, seed=0) == UNCHANGED
    stated, correct, values = answers(500, 6, bias={})
    assert fit_correction(stated, np.ones_like(correct), values, seed=0) == UNCHANGED


def test_surer_stays_surer_within_a_value_and_confidence_stays_a_probability() -> None:
    rng = np.random.default_rng(7)
    stated = rng.uniform(0.0, 1.0, 400)
    fitted = fit_correction(stated, (rng.random(400) > stated).astype(float), np.array(["fall"] * 400), seed=0)
    confidence = mended(fitted, np.array([0.0, 0.2, 0.5, 0.8, 1.0]), np.array(["fall"] * 5))
    assert (np.diff(confidence) >= 0).all()
    assert ((confidence >= 0) & (confidence <= 1)).all()


def test_the_value_stays_as_decoded_and_unknown_keeps_its_probability() -> None:
    log_probs = np.log(np.array([0.5, 0.3, 0.1, 0.06, 0.04]))
    assert len(log_probs) == len(SEASONS)
    corrected = FieldCalibration(correction=Correction((1.0, 1.0, -2.0)))
    named = corrected.apply("season", log_probs, 0)
    assert (named.value, named.confidence) == (SEASONS[0], pytest.approx(expit(-2.0)))
    at = SEASONS.index(UNKNOWN)
    assert corrected.apply("season", log_probs, at).confidence == pytest.approx(np.exp(log_probs[at]))


def test_it_comes_back_from_disk(tmp_path) -> None:
    field = FieldCalibration(1.2, correction=Correction((0.9, 1.1, -0.2), {"summer": -0.4}))
    Calibration("abc", {"image": {"season": field}}).save(tmp_path / "c.json")
    found = Calibration.load(tmp_path / "c.json", weights_sha256="abc")
    assert found.variants["image"]["season"].correction == field.correction
    assert found.digest == Calibration("abc", {"image": {"season": field}}).digest
    plain = Calibration("abc", {"image": {"season": FieldCalibration(1.2)}})
    assert found.digest != plain.digest
