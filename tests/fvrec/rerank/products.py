"""Products and predictions for the tests of this folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fvrec.records import AttributeValue, Item, Prediction
from fvrec.schema import FIELDS, UNKNOWN


def make_item(item_id: str, title: str, values: Mapping[str, str]) -> Item:
    attributes = {
        field: AttributeValue(values[field], "source") if field in values else AttributeValue(UNKNOWN, "unknown")
        for field in FIELDS
    }
    return Item(item_id, "test", item_id, "test", f"{item_id}.jpg", item_id, title, "", {}, attributes)


def read_from_title(item: Item, **values: str) -> Item:
    """The same item with labels that a rule gave."""
    by_rule = {field: AttributeValue(value, "rule") for field, value in values.items()}
    return replace(item, attributes={**item.attributes, **by_rule})


def make_prediction(item: Item, **changes: str) -> Prediction:
    attributes = {**item.values, **changes}
    return Prediction(
        item.item_id,
        "lora",
        "image",
        "raw",
        "{}",
        True,
        True,
        attributes=attributes,
        confidence=dict.fromkeys(FIELDS, 0.9),
    )
