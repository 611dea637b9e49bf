from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fvrec.errors import FvrecError
from fvrec.records import AttributeValue, Item, Prediction
from fvrec.rerank.pool import UNKNOWN_CODES, encode_values
from fvrec.rl.items import ItemTable, build_items
from fvrec.schema import FIELDS, UNKNOWN, VALUES

COLOR = FIELDS.index("color")


def table(colors: list[str]) -> ItemTable:
    values = encode_values([{"color": color} for color in colors])
    return ItemTable(
        item_ids=tuple(map(str, range(len(colors)))),
        true_values=values,
        predicted_values=values,
        confidence=np.ones(values.shape, dtype=np.float32),
        embeddings=np.ones((len(colors), 1), dtype=np.float32),
    )


def item(item_id: str, **values: str) -> Item:
    attributes = {field: AttributeValue(values.get(field, UNKNOWN), "source") for field in FIELDS}
    return Item(item_id, "hand", item_id, "val", f"{item_id}.png", "0" * 64, "", "", {}, attributes)


def test_long_tail_is_the_rarest_fifth_of_a_field() -> None:
    # red 1/10, blue 1/10: together 2/10, the tail. black 8/10 is not.
    items = table(["black"] * 8 + ["red", "blue"])
    assert items.long_tail.tolist() == [0.0] * 8 + [1.0, 1.0]


def test_unknown_is_in_no_distribution_and_no_tail() -> None:
    items = table(["black"] * 9 + [UNKNOWN])
    assert items.long_tail.tolist() == [0.0] * 10
    assert items.value_share[COLOR, VALUES["color"].index("black")] == 1.0
    assert items.value_share[FIELDS.index("style")].sum() == 0.0
    misread = replace(items, predicted_values=encode_values([{"color": "red"}] * 3 + [{"color": "blue"}] + [{}] * 6))
    assert misread.predicted_share[COLOR, VALUES["color"].index("red")] == 3 / 4
    assert misread.value_share[COLOR, VALUES["color"].index("black")] == 1.0


def test_only_the_source_says_what_is_true() -> None:
    labelled = item("a", color="blue", style="party")
    by_rule = {**labelled.attributes, "style": AttributeValue("party", "rule")}
    items = build_items([replace(labelled, attributes=by_rule)], [], [[1.0]])
    assert items.true_values[0, COLOR] == VALUES["color"].index("blue")
    assert items.true_values[0, FIELDS.index("style")] == UNKNOWN_CODES[FIELDS.index("style")]


def test_predictions_are_joined_by_id_and_invalid_ones_know_nothing() -> None:
    answer = dict.fromkeys(FIELDS, UNKNOWN) | {"color": "red"}
    good = Prediction("b", "lora", "image", "raw", "", True, True, attributes=answer, confidence={"color": 0.7})
    bad = Prediction("a", "lora", "image", "raw", "not json", False, False)
    items = build_items([item("a", color="blue"), item("b", color="blue")], [good, bad], [[3.0, 4.0], [0.0, 2.0]])
    assert items.predicted_values[0].tolist() == UNKNOWN_CODES.tolist()
    assert items.predicted_values[1, COLOR] == VALUES["color"].index("red")
    assert items.true_values[1, COLOR] == VALUES["color"].index("blue")
    assert items.confidence[:, COLOR].tolist() == pytest.approx([0.0, 0.7])
    np.testing.assert_allclose(items.embeddings, [[0.6, 0.8], [0.0, 1.0]], rtol=1e-6)


@pytest.mark.parametrize("embeddings", [[[np.nan, 1.0]], [[0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], [1.0]])
def test_embeddings_must_be_one_finite_direction_per_item(embeddings: list) -> None:
    with pytest.raises(FvrecError, match="embedding"):
        build_items([item("a")], [], embeddings)


def test_a_table_is_checked(val_items: ItemTable) -> None:
    wild = val_items.true_values.copy()
    wild[0, COLOR] = 99
    for broken in (
        {"true_values": wild},
        {"predicted_values": val_items.predicted_values[:5]},
        {"confidence": val_items.confidence + 1},
        {"confidence": np.full_like(val_items.confidence, np.nan)},
        {"item_ids": ("same",) * len(val_items)},
        {"item_ids": ()},
    ):
        with pytest.raises(FvrecError):
            replace(val_items, **broken)
