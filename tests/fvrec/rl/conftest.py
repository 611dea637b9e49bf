"""A synthetic catalogue: garments with correlated attributes, imperfect readings, embeddings that follow the truth."""

from __future__ import annotations

import numpy as np
import pytest

from fvrec.rerank.pool import UNKNOWN_CODES
from fvrec.rl.items import ItemTable
from fvrec.schema import FIELDS, VALUES


def make_items(n: int, *, seed: int, accuracy: float = 0.8, dimensions: int = 32) -> ItemTable:
    rng = np.random.default_rng(seed)
    # Which values go with which category, and what they look like, is the same in every split.
    world = np.random.default_rng(12345)
    columns = []
    category = rng.integers(0, 14, n)
    for column, field in enumerate(FIELDS):
        known = len(VALUES[field]) - 1
        habits = world.dirichlet(np.full(known, 0.5), size=14)
        drawn = np.array([rng.choice(known, p=habits[c]) for c in category])
        columns.append(category if column == 0 else drawn)
    true = np.stack(columns, axis=1).astype(np.int16)
    true[:, FIELDS.index("neckline")] = np.where(category > 9, UNKNOWN_CODES[FIELDS.index("neckline")], true[:, 9])
    right = rng.uniform(size=true.shape) < accuracy
    wrong = (rng.uniform(size=true.shape) * UNKNOWN_CODES).astype(np.int16)
    confidence = np.where(right, rng.uniform(0.6, 1.0, true.shape), rng.uniform(0.2, 0.8, true.shape))
    looks = [world.normal(size=(len(VALUES[field]), dimensions)) for field in FIELDS]
    embeddings = sum(look[true[:, column]] for column, look in enumerate(looks)) + rng.normal(size=(n, dimensions))
    embeddings = np.asarray(embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True), dtype=np.float32)
    return ItemTable(
        item_ids=tuple(f"s{seed}-{i:04d}" for i in range(n)),
        true_values=true,
        predicted_values=np.where(right, true, wrong).astype(np.int16),
        confidence=confidence.astype(np.float32),
        embeddings=embeddings,
    )


@pytest.fixture(scope="session")
def val_items() -> ItemTable:
    return make_items(300, seed=1)


@pytest.fixture(scope="session")
def test_items() -> ItemTable:
    return make_items(300, seed=2)
