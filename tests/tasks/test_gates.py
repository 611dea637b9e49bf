"""What a model writes on 30 samples decides whether anything is built on it."""

from __future__ import annotations

import pytest

from fvrec.config import Settings
from fvrec.errors import SanityError
from fvrec.records import Prediction
from fvrec.schema import FIELDS, UNKNOWN, VALUES
from tasks.gates import SAMPLES, check_answers, check_captions, sample

TINY = Settings(preset="tiny")


def answers(valid: int, *, alike: bool = False) -> list[Prediction]:
    """30 predictions of which so many are in the schema."""
    made = []
    for number in range(SAMPLES):
        colour = VALUES["color"][0 if alike else number % 12]
        attributes = dict.fromkeys(FIELDS, UNKNOWN) | {"color": colour} if number < valid else {}
        in_schema = number < valid
        made.append(
            Prediction(
                item_id=f"item{number}",
                model="sft",
                inputs="image",
                mode="raw",
                raw_output="{}",
                json_valid=in_schema,
                schema_valid=in_schema,
                error="",
                error_class="",
                attributes=attributes,
                confidence={},
            )
        )
    return made


@pytest.mark.parametrize(("model", "least"), [("sft", 15), ("lora", 24)])
def test_enough_answers_must_be_in_the_schema(model: str, least: int) -> None:
    check_answers(answers(least), model, TINY)
    with pytest.raises(SanityError, match="too few answers"):
        check_answers(answers(least - 1), model, TINY)


def test_answers_must_not_all_be_the_same() -> None:
    with pytest.raises(SanityError, match="all sampled answers are the same"):
        check_answers(answers(30, alike=True), "lora", TINY)


def test_in_smoke_e1_is_exempt_and_e2_is_not() -> None:
    smoke = Settings(preset="smoke")
    check_answers(answers(0), "sft", smoke)
    with pytest.raises(SanityError, match="too few answers"):
        check_answers(answers(0), "lora", smoke)


def test_captions_must_say_something_and_differ() -> None:
    check_captions(["red dress"] * 29 + ["blue shirt"])
    with pytest.raises(SanityError, match="empty caption"):
        check_captions(["red dress"] * 29 + [" "])
    with pytest.raises(SanityError, match="captions are the same"):
        check_captions(["red dress"] * 30)


def test_the_same_seed_takes_the_same_thirty() -> None:
    rows = range(100)
    assert sample(rows, 7) == sample(rows, 7)
    assert len(set(sample(rows, 7))) == SAMPLES
    assert sample(rows, 7) != sample(rows, 8)
    assert sorted(sample(range(5), 7)) == list(range(5))
