from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fvrec.schema import CONFIDENCE, FIELDS, UNKNOWN, VALUES, json_schema, parse_answer, render_answer

GOOD = render_answer({field: VALUES[field][0] for field in FIELDS}, dict.fromkeys(FIELDS, 0.9))

answers = st.tuples(
    st.fixed_dictionaries({field: st.sampled_from(VALUES[field]) for field in FIELDS}),
    st.fixed_dictionaries({field: st.integers(0, 100).map(lambda n: n / 100) for field in FIELDS}),
)


@given(answers)
def test_what_is_rendered_parses_back(pair: tuple[dict[str, str], dict[str, float]]) -> None:
    attributes, confidence = pair
    result = parse_answer(render_answer(attributes, confidence))
    assert result.schema_valid
    assert result.answer is not None
    assert result.answer.attributes == attributes
    assert result.answer.confidence == confidence


@given(st.text())
def test_no_text_crashes_the_parser(text: str) -> None:
    result = parse_answer(text)
    assert result.schema_valid or result.error


@pytest.mark.parametrize(
    ("text", "json_valid", "error_class"),
    [
        ("", False, "not_json"),
        ("```json\n" + GOOD + "\n```", False, "not_json"),
        (GOOD + " and more", False, "not_json"),
        (GOOD[:-1], False, "not_json"),
        ("[1]", False, "not_json"),
        ('{"category":"dress","category":"dress"}', False, "not_json"),
        (GOOD.replace("0.9", "NaN", 1), False, "not_json"),
        ("[" * 100_000, False, "not_json"),
        ("{}", True, "wrong_keys"),
        (GOOD.replace('"category"', '"kind"', 1), True, "wrong_keys"),
        (GOOD.replace(f'"{VALUES["color"][0]}"', '"teal"', 1), True, "out_of_enum"),
        (GOOD.replace(f'"{VALUES["color"][0]}"', "3", 1), True, "out_of_enum"),
        (GOOD.replace(f'"{VALUES["color"][0]}"', '["black"]', 1), True, "out_of_enum"),
        (GOOD.replace("0.9", "1.5", 1), True, "bad_confidence"),
        (GOOD.replace("0.9", "true", 1), True, "bad_confidence"),
        (GOOD.replace("0.9", '"0.9"', 1), True, "bad_confidence"),
    ],
)
def test_everything_else_is_refused(text: str, json_valid: bool, error_class: str) -> None:
    result = parse_answer(text)
    assert (result.json_valid, result.schema_valid, result.error_class) == (json_valid, False, error_class)
    assert result.error


def test_key_order_is_part_of_the_schema() -> None:
    body = json.loads(GOOD)
    assert not parse_answer(json.dumps(dict(reversed(body.items())))).schema_valid


def test_every_field_may_be_unknown_and_values_are_unique() -> None:
    for field in FIELDS:
        assert UNKNOWN in VALUES[field]
        assert len(set(VALUES[field])) == len(VALUES[field])
    assert "other" in VALUES["category"]


def test_the_json_schema_names_the_same_keys() -> None:
    assert json_schema()["required"] == [*FIELDS, CONFIDENCE]
