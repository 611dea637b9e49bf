"""A drawn catalogue as arrays: train, tune and test list policies without a picture or a language model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.rerank.pool import UNKNOWN_CODES
from fvrec.rl.items import ItemTable
from fvrec.schema import FIELDS, VALUES

CATEGORIES = 14
_BARE_FROM = 10
_WORLD = 12345


def synthetic_items(n: int, *, seed: int, accuracy: float = 0.75, dimensions: int = 32) -> ItemTable:
    """``n`` products whose attributes follow their category, and what an imperfect extractor reads of them.

    Each of the other nine fields is drawn from habits of the category (the same in every table); categories from
    the eleventh on have no neckline. A reading is right with probability ``accuracy``; a wrong one is mostly one of the
    value's two usual confusions. Confidence is higher for right readings, and not calibrated. Embeddings follow the
    true attributes and noise: no ranker of a study sees them, they measure ILD. Tables of different seeds share no
    item. Raises FvrecError on ``n`` below 1 or an accuracy outside [0, 1].
    """
    if n < 1 or not 0.0 <= accuracy <= 1.0:
        raise FvrecError("no such catalogue", found=(n, accuracy), allowed="n of 1 or more, accuracy in [0, 1]")
    rng, world = np.random.default_rng([seed, 1]), np.random.default_rng(_WORLD)
    true = _true_values(n, rng, world)
    read = _misread(true, accuracy, rng, world)
    right = read == true
    confidence = np.where(right, rng.beta(5.0, 1.6, true.shape), rng.beta(2.6, 2.2, true.shape))
    looks = [world.normal(size=(len(VALUES[field]), dimensions)) for field in FIELDS]
    vectors = np.sum([look[true[:, column]] for column, look in enumerate(looks)], axis=0)
    vectors = vectors + rng.normal(size=(n, dimensions))
    return ItemTable(
        item_ids=tuple(f"drawn{seed}-{i:05d}" for i in range(n)),
        true_values=true,
        predicted_values=read,
        confidence=confidence.astype(np.float32),
        embeddings=(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32),
    )


def _true_values(n: int, rng: np.random.Generator, world: np.random.Generator) -> NDArray[np.int16]:
    category = rng.integers(0, CATEGORIES, n)
    columns = [category]
    for field in FIELDS[1:]:
        habits = world.dirichlet(np.full(len(VALUES[field]) - 1, 0.5), size=CATEGORIES)
        columns.append((habits.cumsum(axis=1)[category] > rng.uniform(size=(n, 1))).argmax(axis=1))
    true = np.stack(columns, axis=1).astype(np.int16)
    true[category >= _BARE_FROM, FIELDS.index("neckline")] = UNKNOWN_CODES[FIELDS.index("neckline")]
    return true


def _misread(
    true: NDArray[np.int16], accuracy: float, rng: np.random.Generator, world: np.random.Generator
) -> NDArray[np.int16]:
    read = true.copy()
    for column, unknown in enumerate(UNKNOWN_CODES):
        usual = world.integers(0, unknown, size=(unknown + 1, 2))
        wrong = np.where(
            rng.uniform(size=len(true)) < 0.7,
            usual[true[:, column], rng.integers(0, 2, len(true))],
            rng.integers(0, unknown + 1, len(true)),
        )
        missed = rng.uniform(size=len(true)) >= accuracy
        read[missed, column] = wrong[missed]
    return read
