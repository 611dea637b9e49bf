"""A few products that the tests of this folder share."""

from __future__ import annotations

import numpy as np
import pytest

from fvrec.records import CandidateSet, Item
from fvrec.rerank.table import candidate_set
from fvrec.schema import FIELDS, VALUES

from .products import make_item, make_prediction


@pytest.fixture
def shop() -> CandidateSet:
    """Four products, read without a mistake, with two-dimensional embeddings."""
    items = [
        make_item("a", "Blue cotton dress", {"category": "dress", "color": "blue", "material": "cotton"}),
        make_item("b", "Red silk dress", {"category": "dress", "color": "red", "material": "silk"}),
        make_item("c", "Blue denim jeans", {"category": "jeans", "color": "blue", "material": "denim"}),
        make_item("d", "白色连衣裙", {"category": "dress", "color": "white"}),
    ]
    embeddings = np.array([[1, 0], [0, 1], [1, 0], [0.6, 0.8]], dtype=np.float32)
    return candidate_set(items, [make_prediction(item) for item in items], embeddings)


@pytest.fixture
def catalogue() -> list[Item]:
    """300 products whose attributes are drawn at random and named in an English title."""
    rng = np.random.default_rng(5)
    items = []
    for index in range(300):
        values = {field: VALUES[field][int(rng.integers(len(VALUES[field]) - 2))] for field in FIELDS}
        title = f"Brand {values['color']} {values['pattern']} {values['category']}".replace("_", " ")
        items.append(make_item(f"i{index:03d}", title, values))
    return items
