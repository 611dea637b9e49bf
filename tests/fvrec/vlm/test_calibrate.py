"""A model whose temperature is known gets it back; a threshold is set only where it pays."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax

from fvrec.errors import FvrecError
from fvrec.evaluation.reliability import ece
from fvrec.schema import UNKNOWN, VALUES
from fvrec.vlm.calibrate import Calibration, FieldCalibration, weights_digest
from fvrec.vlm.decoding_types import FieldScores
from fvrec.vlm.temperature import LEAST_ITEMS, best_threshold, fit, fit_temperature

COLOURS = VALUES["color"]


def scores(log_probs: np.ndarray) -> list[FieldScores]:
    return [FieldScores({"color": row}, {"color": int(row.argmax())}) for row in log_probs]


def overconfident(n: int, temperature: float, seed: int) -> tuple[np.ndarray, list[str]]:
    """``[N, V]`` log-probabilities that are too sharp by that factor, and labels drawn from the true ones."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, len(COLOURS))) * 2
    logits[:, COLOURS.index(UNKNOWN)] = -30  # the labelled items of this world are never unknown
    true = np.exp(log_softmax(logits, axis=1))
    labels = [COLOURS[rng.choice(len(COLOURS), p=row)] for row in true]
    return log_softmax(logits * temperature, axis=1), labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_known_temperature_is_found(temperature: float) -> None:
    log_probs, labels = overconfident(4000, temperature, seed=1)
    targets = np.array([COLOURS.index(label) for label in labels])
    assert fit_temperature(log_probs, targets) == pytest.approx(temperature, rel=0.08)


def test_scaling_mends_unseen_answers_and_never_moves_the_choice() -> None:
    log_probs, labels = overconfident(2000, 3.0, seed=2)
    fitted = fit(scores(log_probs), {"color": labels}, seed=0)["color"]
    assert fitted.nll_after < fitted.nll_before
    log_probs, labels = overconfident(4000, 3.0, seed=3)
    plain, scaled = (
        [one.apply("color", row, int(row.argmax())) for row in log_probs] for one in (FieldCalibration(), fitted)
    )
    assert [choice.value for choice in plain] == [choice.value for choice in scaled]
    correct = np.array([choice.value == label for choice, label in zip(plain, labels, strict=True)], dtype=float)
    before, after = (ece(np.array([choice.confidence for choice in chosen]), correct) for chosen in (plain, scaled))
    assert before > 0.15
    assert after < 0.03


def test_unlabelled_items_and_small_samples_move_nothing() -> None:
    log_probs, labels = overconfident(LEAST_ITEMS + 5, 3.0, seed=4)
    few = [label if row < LEAST_ITEMS - 1 else UNKNOWN for row, label in enumerate(labels)]
    fitted = fit(scores(log_probs), {"color": few}, seed=0)["color"]
    assert (fitted.temperature, fitted.threshold, fitted.items) == (1.0, 0.0, LEAST_ITEMS - 1)
    assert fit(scores(log_probs), {"color": labels}, seed=0)["color"].temperature > 1.5


def test_a_foreign_label_is_an_error() -> None:
    with pytest.raises(FvrecError, match="crimson"):
        fit(scores(np.zeros((1, len(COLOURS)))), {"color": ["crimson"]}, seed=0)


def test_a_threshold_is_set_where_it_pays_and_only_there() -> None:
    # 300 sure answers that are right, 300 unsure ones that are wrong: abstaining halves the claims at no loss.
    confidence, correct = np.array([0.9] * 300 + [0.2] * 300), np.array([1.0] * 300 + [0.0] * 300)
    assert best_threshold(confidence, correct, seed=0) == pytest.approx((0.9, 2 * 300 / 900 - 2 * 300 / 1200))
    even = np.array([1.0, 1.0, 1.0, 0.0] * 100)
    assert best_threshold(np.linspace(0.5, 0.9, 400), even, seed=0) == (0.0, 0.0)


def test_abstention_happens_only_when_asked_for() -> None:
    log_probs = np.log(np.full(len(COLOURS), 0.4 / (len(COLOURS) - 1)))
    red = COLOURS.index("red")
    log_probs[red] = np.log(0.6)
    calibration = Calibration("w", {"image": {"color": FieldCalibration(threshold=0.7)}})
    assert calibration.of("image").apply("color", log_probs, red).value == "red"
    careful = replace(calibration, abstain=True)
    assert careful.digest != calibration.digest
    unsure = careful.of("image").apply("color", log_probs, red)
    assert unsure.value == UNKNOWN
    assert unsure.confidence == pytest.approx(0.4 / (len(COLOURS) - 1))
    assert careful.of("title").apply("color", log_probs, red).value == "red"


def test_it_comes_back_from_disk_and_belongs_to_its_weights(tmp_path: Path) -> None:
    field = FieldCalibration(1.7, 0.3, 99, 0.8, 0.6, 0.02)
    made = Calibration("abc", {"image": {"color": field, "season": FieldCalibration(items=3)}})
    path = tmp_path / "deep" / "calibration.json"
    made.save(path)
    found = Calibration.load(path, weights_sha256="abc")
    assert found.variants["image"]["color"] == field
    assert math.isnan(found.variants["image"]["season"].nll_after)
    with pytest.raises(FvrecError, match="other weights"):
        Calibration.load(path, weights_sha256="abd")


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: body.pop("variants"),
        lambda body: body["variants"]["image"]["color"].update(temperature=0),
        lambda body: body["variants"]["image"]["color"].update(threshold=1.5),
        lambda body: body["variants"]["image"]["color"].update(surprise=1),
        lambda body: body["variants"]["image"]["color"]["correction"].update(shape=[1, -1, 0]),
        lambda body: body["variants"]["image"]["color"].update(correction=3),
        lambda body: body.update(schema_version=2),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, damage) -> None:
    path = tmp_path / "calibration.json"
    Calibration("abc", {"image": {"color": FieldCalibration()}}).save(path)
    body = json.loads(path.read_text())
    damage(body)
    path.write_text(json.dumps(body))
    with pytest.raises(FvrecError, match="calibration"):
        Calibration.load(path, weights_sha256="abc")


def test_the_digest_follows_the_weights_and_their_base(tmp_path: Path) -> None:
    weights = tmp_path / "adapter_model.safetensors"
    weights.write_bytes(b"one")
    first = weights_digest(tmp_path)
    (tmp_path / "README.md").write_text("a note")
    assert weights_digest(tmp_path) == first
    (tmp_path / "base.json").write_text("{}")
    second = weights_digest(tmp_path)
    weights.write_bytes(b"two")
    assert len({first, second, weights_digest(tmp_path)}) == 3
    with pytest.raises(FvrecError, match="no weights"):
        weights_digest(tmp_path / "nowhere")


def test_the_decoded_value_keeps_its_own_probability() -> None:
    # A walk over the tokens of long values may end beside the most probable value.
    log_probs = np.log(np.array([0.5, 0.3, *[0.2 / (len(COLOURS) - 2)] * (len(COLOURS) - 2)]))
    decided = FieldCalibration().apply("color", log_probs, 1)
    assert (decided.value, decided.confidence) == (COLOURS[1], pytest.approx(0.3))
