"""What kind of failure an answer is, from the answer's own text."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from fvrec.evaluation.scores import label
from fvrec.records import Item, Prediction
from fvrec.schema import CONFIDENCE, FIELDS, UNKNOWN, VALUES

NOT_JSON, OUT_OF_ENUM, MISPLACED, CONFUSED = "not_json", "out_of_enum", "field_misplaced", "attribute_confused"
CLASSES = (NOT_JSON, OUT_OF_ENUM, MISPLACED, CONFUSED, "wrong_keys", "bad_confidence")
"""The plan's four classes, and the two more ways in which an answer can break the schema."""


def failure_class(prediction: Prediction, item: Item, fields: Collection[str]) -> str:
    """One of ``CLASSES``, or empty when nothing is wrong in any of the labelled ``fields``.

    ``field_misplaced``: valid JSON in which a field holds a value of another field, or all keys are there in another
    order. Judged on the raw text: the strict parser stops at the first fault.
    """
    if prediction.schema_valid:
        return CONFUSED if wrong_values(prediction, item, fields) else ""
    if prediction.json_valid and _misplaced(prediction.raw_output):
        return MISPLACED
    return prediction.error_class or NOT_JSON


def wrong_values(prediction: Prediction, item: Item, fields: Collection[str]) -> dict[str, tuple[str, str]]:
    """field -> (label, answer) where a schema-valid answer differs from the source's own label, in schema order."""
    labels = {name: label(item, name) for name in FIELDS if name in fields}
    answers = prediction.attributes
    return {name: (true, answers[name]) for name, true in labels.items() if true not in (UNKNOWN, answers[name])}


def _misplaced(text: str) -> bool:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if not isinstance(found, Mapping):
        return False
    if set(found) == {*FIELDS, CONFIDENCE} and list(found) != [*FIELDS, CONFIDENCE]:
        return True
    return any(_belongs_elsewhere(name, found.get(name)) for name in FIELDS)


def _belongs_elsewhere(field: str, value: Any) -> bool:
    if not isinstance(value, str) or value in VALUES[field]:
        return False
    return any(value in VALUES[other] for other in FIELDS)
