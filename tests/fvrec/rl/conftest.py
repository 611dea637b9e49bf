"""A synthetic catalogue, and requests made by hand: small inputs with known properties for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from fvrec.rerank.pool import UNKNOWN_CODES, Pool, encode_values
from fvrec.rl.items import ItemTable
from fvrec.rl.requests import Request
from fvrec.schema import FIELDS, VALUES

NECKLINE = FIELDS.index("neckline")


def make_items(n: int, *, seed: int, accuracy: float = 0.8, dimensions: int = 32) -> ItemTable:
    """Garments whose attributes follow their category, read with ``accuracy``; embeddings follow the truth."""
    rng = np.random.default_rng(seed)
    # Which values go with which category, and what they look like, is the same in every split.
    world = np.random.default_rng(12345)
    category = rng.integers(0, 14, n)
    columns = [category]
    for field in FIELDS[1:]:
        habits = world.dirichlet(np.full(len(VALUES[field]) - 1, 0.5), size=14)
        columns.append(np.array([rng.choice(len(habits[c]), p=habits[c]) for c in category]))
    true = np.stack(columns, axis=1).astype(np.int16)
    true[category > 9, NECKLINE] = UNKNOWN_CODES[NECKLINE]
    right = rng.uniform(size=true.shape) < accuracy
    wrong = (rng.uniform(size=true.shape) * UNKNOWN_CODES).astype(np.int16)
    confidence = np.where(right, rng.uniform(0.6, 1.0, true.shape), rng.uniform(0.2, 0.8, true.shape))
    looks = [world.normal(size=(len(VALUES[field]), dimensions)) for field in FIELDS]
    embeddings = sum(look[true[:, column]] for column, look in enumerate(looks)) + rng.normal(size=(n, dimensions))
    return ItemTable(
        item_ids=tuple(f"s{seed}-{i:04d}" for i in range(n)),
        true_values=true,
        predicted_values=np.where(right, true, wrong).astype(np.int16),
        confidence=confidence.astype(np.float32),
        embeddings=np.asarray(embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True), dtype=np.float32),
    )


def make_request(
    attributes: Sequence[dict[str, str]],
    true_relevance: Sequence[float],
    *,
    believed: Sequence[float] | None = None,
    long_tail: Sequence[float] | None = None,
) -> Request:
    """A request whose predicted attributes are the true ones; every item looks different."""
    n = len(attributes)
    values = encode_values(attributes)
    relevance = np.asarray(believed if believed is not None else true_relevance, dtype=np.float32)
    pool = Pool(
        item_ids=tuple(f"item{i}" for i in range(n)),
        relevance=relevance,
        embeddings=np.eye(n, dtype=np.float32),
        values=values,
        field_match=np.full((n, len(FIELDS)), 0.5, dtype=np.float32),
    )
    return Request(
        user_id="user",
        pool=pool,
        true_relevance=np.asarray(true_relevance, dtype=np.float32),
        true_values=values,
        long_tail=np.asarray(long_tail if long_tail is not None else np.zeros(n), dtype=np.float32),
    )


@pytest.fixture(scope="session")
def val_items() -> ItemTable:
    return make_items(300, seed=1)


@pytest.fixture(scope="session")
def test_items() -> ItemTable:
    return make_items(300, seed=2)


@pytest.fixture(scope="session")
def items_factory() -> Callable[..., ItemTable]:
    return make_items


@pytest.fixture(scope="session")
def request_factory() -> Callable[..., Request]:
    return make_request
