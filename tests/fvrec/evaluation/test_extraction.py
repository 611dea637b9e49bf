"""Expectations are fractions worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from fvrec.evaluation import INVALID, evaluate
from fvrec.records import AttributeValue, Item, Prediction
from fvrec.schema import FIELDS, UNKNOWN


def item(number: int, color: str, origin: str = "source") -> Item:
    attributes = {field: AttributeValue(UNKNOWN, "unknown") for field in FIELDS}
    attributes["color"] = AttributeValue(color, origin)  # type: ignore[arg-type]
    attributes["category"] = AttributeValue("dress", "source")
    return Item(str(number), "toy", str(number), "test", "", "", "", "", {}, attributes)


def answer(number: int, color: str, category: str = "dress") -> Prediction:
    attributes = dict.fromkeys(FIELDS, UNKNOWN) | {"color": color, "category": category}
    return Prediction(str(number), "lora", "image", "raw", "{}", True, True, attributes=attributes)


def invalid(number: int, *, json_valid: bool) -> Prediction:
    error_class = "out_of_enum" if json_valid else "not_json"
    return Prediction(str(number), "lora", "image", "raw", "?", json_valid, False, "why", error_class)


ITEMS = [item(0, "red"), item(1, "red"), item(2, "blue"), item(3, "red"), item(4, UNKNOWN, "unknown")]
TRUTH = {one.item_id: one for one in ITEMS}
PREDICTIONS = [
    answer(0, "red"),
    answer(1, "blue"),
    answer(2, UNKNOWN),
    invalid(3, json_valid=True),
    invalid(4, json_valid=False),
]
RESULT = evaluate(PREDICTIONS, TRUTH, ["color", "category"], seed=0)


def value(metric: str, field: str = "", slice_: str = "") -> float:
    (found,) = [m for m in RESULT.metrics if (m.metric, m.field, m.slice) == (metric, field, slice_)]
    return found.value


@pytest.mark.parametrize(
    ("metric", "field", "expected"),
    [
        ("json_valid_rate", "", Fraction(4, 5)),
        ("schema_pass_rate", "", Fraction(3, 5)),
        ("accuracy", "color", Fraction(1, 4)),  # items 0-3 are labelled; only item 0 is right
        ("accuracy", "category", Fraction(3, 5)),
        ("majority_share", "color", Fraction(3, 4)),
        ("majority_share", "category", Fraction(1)),
        # red: one right, no wrong claim, two missed: 2*1/(1+3); blue: none right: 0. Mean of the two.
        ("macro_f1", "color", Fraction(1, 2) / 2),
        # Right: 1 + 3. Claims: color red, blue and one invalid (unknown is none) = 3; category 3 and two invalid = 5.
        # Labels: 4 + 5.
        ("micro_f1", "", Fraction(2 * 4, 8 + 9)),
    ],
)
def test_by_hand(metric: str, field: str, expected: Fraction) -> None:
    assert value(metric, field) == pytest.approx(float(expected))


def test_an_invalid_answer_costs_more_than_unknown() -> None:
    def micro_f1(second: Prediction) -> float:
        metrics = evaluate([answer(0, "red"), second], TRUTH, ["color"], seed=0).metrics
        return next(m.value for m in metrics if m.metric == "micro_f1")

    assert micro_f1(answer(1, UNKNOWN)) == pytest.approx(2 / (1 + 2))
    assert micro_f1(invalid(1, json_valid=False)) == pytest.approx(2 / (2 + 2))


def test_failures_are_counted_by_class() -> None:
    assert value("failures", slice_="not_json") == 1
    assert value("failures", slice_="out_of_enum") == 1
    assert value("failures", slice_="attribute_confused") == 2  # items 1 and 2: valid but wrong in colour


def test_confusions_hold_every_labelled_item() -> None:
    cells = {(c.true_value, c.predicted_value): c.n for c in RESULT.confusions if c.field == "color"}
    assert cells == {("red", "red"): 1, ("red", "blue"): 1, ("blue", UNKNOWN): 1, ("red", INVALID): 1}


def test_dimensions_and_intervals() -> None:
    assert all(m.model == "lora" and m.inputs == "image" and m.split == "test" for m in RESULT.metrics)
    (accuracy,) = [m for m in RESULT.metrics if m.metric == "accuracy" and m.field == "color"]
    assert accuracy.n == 4
    assert accuracy.ci_low is not None
    assert accuracy.ci_low <= accuracy.value <= (accuracy.ci_high or 0)
