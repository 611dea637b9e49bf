"""Rows about confidence: who is counted where, and what failures are called."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fvrec.errors import FvrecError
from fvrec.evaluation import FieldScore, evaluate, score_field
from fvrec.evaluation.confidence import confidence_report
from fvrec.evaluation.extraction import compare_modes
from fvrec.evaluation.failures import failure_class
from fvrec.records import AttributeValue, Item, Prediction
from fvrec.schema import FIELDS, UNKNOWN, parse_answer, render_answer

COLOURS = ("red", "blue", "green")


def item(number: int) -> Item:
    attributes = {field: AttributeValue(UNKNOWN, "unknown") for field in FIELDS}
    attributes["color"] = AttributeValue(COLOURS[number % 3], "source")
    return Item(str(number), "toy", str(number), "test", "", "", "", "", {}, attributes)


def answer(number: int, color: str, confidence: float, mode: str = "constrained") -> Prediction:
    attributes = dict.fromkeys(FIELDS, UNKNOWN) | {"color": color}
    stated = dict.fromkeys(FIELDS, 0.5) | {"color": confidence}
    return Prediction(str(number), "lora", "image", mode, "{}", True, True, "", "", attributes, stated)


TRUTH = {str(number): item(number) for number in range(60)}


def values(metrics, name: str, field: str = "color") -> list[float]:
    return [row.value for row in metrics if (row.metric, row.field) == (name, field)]


def test_unknown_is_no_claim_but_counts_against_coverage() -> None:
    right = [answer(n, COLOURS[n % 3], 0.9) for n in range(30)]
    silent = [answer(n, UNKNOWN, 0.99) for n in range(30, 60)]
    score = score_field("color", [*right, *silent], TRUTH)
    rows = confidence_report([score], kind="computed", seed=0).metrics
    assert values(rows, "brier") == pytest.approx([0.01])
    assert {row.n for row in rows if row.metric == "ece"} == {30}
    # 48 of 60 answers: the 30 right ones and 18 that claim nothing.
    assert next(row.value for row in rows if row.slice == "coverage=0.8") == pytest.approx(30 / 48)


def test_acceptance_follows_the_measure_and_its_band() -> None:
    rng = np.random.default_rng(0)

    def accepted(shift: float) -> float:
        confidence = rng.uniform(0.3, 0.95, 2000)
        right = rng.random(2000) < confidence - shift
        ids = tuple(map(str, range(2000)))
        predicted = tuple("red" if ok else "blue" for ok in right)
        score = FieldScore("color", ids, ("red",) * 2000, predicted, confidence)
        return values(confidence_report([score], kind="scaled", seed=0).metrics, "ece_accepted")[0]

    assert accepted(0.0) == 1.0
    assert accepted(0.15) == 0.0


def test_every_curve_says_whose_it_is() -> None:
    predictions = [answer(n, COLOURS[n % 3] if n % 4 else "red", 0.5 + n / 200) for n in range(60)]
    result = evaluate(predictions, TRUTH, ["color"], seed=0, kind="scaled")
    assert {point.curve for point in result.curves} == {"reliability", "risk_coverage"}
    for point in result.curves:
        assert {"model": "lora", "inputs": "image", "mode": "constrained", "confidence": "scaled"}.items() <= (
            point.params.items()
        )
    bins = [point for point in result.curves if point.curve == "reliability" and point.params["field"] == "color"]
    assert sum(point.params["n"] for point in bins) == 60
    rebuilt = sum(point.params["n"] * abs(point.x - point.y) for point in bins) / 60
    assert rebuilt == pytest.approx(values(result.metrics, "ece_plugin")[0])


def test_modes_and_splits_are_never_mixed() -> None:
    with pytest.raises(FvrecError, match="one at a time"):
        evaluate([answer(0, "red", 0.9), answer(1, "red", 0.9, "raw")], TRUTH, ["color"], seed=0)
    with pytest.raises(FvrecError, match="no predictions"):
        evaluate([], TRUTH, ["color"], seed=0)


def test_the_difference_between_modes_is_paired() -> None:
    def score(mode: str, wrong: int):
        rows = [answer(n, "beige" if n < wrong else COLOURS[n % 3], 0.9, mode) for n in range(60)]
        return evaluate(rows, TRUTH, ["color"], seed=0)

    (row,) = compare_modes(score("constrained", 3), score("raw", 9), seed=0)
    assert (row.mode, row.params, row.field) == ("constrained", {"against": "raw"}, "color")
    assert row.value == pytest.approx(6 / 60)
    assert row.ci_low > 0


def test_values_with_few_items_are_left_out_of_the_second_macro_f1() -> None:
    few = {**TRUTH, "60": item(60)}
    predictions = [answer(n, COLOURS[n % 3], 0.9) for n in range(60)]
    attributes = {**few["60"].attributes, "color": AttributeValue("pink", "source")}
    few["60"] = Item("60", "toy", "60", "test", "", "", "", "", {}, attributes)
    rows = evaluate([*predictions, answer(60, UNKNOWN, 0.1)], few, ["color"], seed=0).metrics
    assert values(rows, "macro_f1") == pytest.approx([3 / 4])
    assert values(rows, "macro_f1_frequent") == pytest.approx([1.0])


GOOD = dict.fromkeys(FIELDS, UNKNOWN) | {"color": "red"}
ANSWER = render_answer(GOOD, dict.fromkeys(FIELDS, 0.5))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("red dress", "not_json"),
        (render_answer(GOOD | {"color": "crimson"}, dict.fromkeys(FIELDS, 0.5)), "out_of_enum"),
        (render_answer(GOOD | {"color": "dress"}, dict.fromkeys(FIELDS, 0.5)), "field_misplaced"),
        (json.dumps(dict(reversed(json.loads(ANSWER).items()))), "field_misplaced"),
        (json.dumps({"color": "red"}), "wrong_keys"),
        (render_answer(GOOD | {"color": "blue"}, dict.fromkeys(FIELDS, 0.5)), "attribute_confused"),
        (ANSWER, ""),
    ],
)
def test_failures_have_their_names(text: str, expected: str) -> None:
    judged = parse_answer(text)
    attributes = dict(judged.answer.attributes) if judged.answer else {}
    prediction = Prediction(
        "0", "base", "image", "raw", text, judged.json_valid, judged.schema_valid, judged.error, judged.error_class,
        attributes,
    )  # fmt: skip
    assert failure_class(prediction, item(0), ["color"]) == expected
