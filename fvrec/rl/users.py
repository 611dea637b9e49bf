"""Users of the simulation: true preferences drawn around real items, and the noisy estimate that rankers see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.records import SPLITS, Interaction, Split, User
from fvrec.rerank.pool import UNKNOWN_CODES
from fvrec.rl.items import VALUE_SLOTS, ItemTable
from fvrec.schema import FIELDS, UNKNOWN, VALUES

PROTOTYPES = 2
PURCHASES_LOW, PURCHASES_HIGH = 3, 8
PURCHASE_SHARPNESS = 12.0
SIMULATED = "simulated_purchase"
"""Kind of the interactions that are drawn here: a shop's real ones are ``purchase``."""
PRIOR_STRENGTH = 2.0
_FIRST_PURCHASE = datetime(2024, 1, 1, tzinfo=UTC)
_COLUMNS = np.arange(len(FIELDS))


@dataclass(frozen=True)
class Population:
    """Users with the purchases that their estimates were made from."""

    users: tuple[User, ...]
    interactions: tuple[Interaction, ...]


def sample_users(items: ItemTable, *, n: int, split: Split, seed: int, source: str = "") -> list[User]:
    """``n`` users of a split; see ``sample_population``."""
    return list(sample_population(items, n=n, split=split, seed=seed, source=source).users)


def sample_population(items: ItemTable, *, n: int, split: Split, seed: int, source: str = "") -> Population:
    """Draw ``n`` users whose tastes lie around real items.

    A user likes a mixture of two prototype items. Each field matters to a degree of its own in [0, 1]: preferences are
    that share of the prototypes' values, and for the rest the catalogue's own distribution. The user then buys 3 to 8
    items, likelier the more they suit; the estimate counts the *predicted* values of these, weighted by confidence, on
    top of a weak prior (the distribution of *predicted* values in the catalogue). Ids and random streams differ between
    splits. A field that no item knows gets all its weight on ``unknown``. Raises FvrecError on an unknown split or
    ``n`` below 1.
    """
    if split not in SPLITS:
        raise FvrecError("unknown split", found=split, allowed=SPLITS)
    if n < 1:
        raise FvrecError("at least one user is needed", where="n", found=n, allowed="1 or more")
    rng = np.random.default_rng([seed, SPLITS.index(split)])
    users, interactions = [], []
    for number in range(n):
        user_id = f"{split}-{number:05d}"
        preferences = _draw_preferences(items, rng)
        bought = _draw_purchases(items, preferences, rng)
        estimate = _estimate(items, bought)
        users.append(User(user_id, source, split, table_to_weights(preferences), table_to_weights(estimate)))
        interactions += [
            Interaction(user_id, items.item_ids[row], source, SIMULATED, _FIRST_PURCHASE + timedelta(days=day))
            for day, row in enumerate(bought)
        ]
    return Population(tuple(users), tuple(interactions))


def user_of_purchases(
    items: ItemTable, user_id: str, *, known: NDArray[np.integer], later: NDArray[np.integer], split: Split, source: str
) -> User:
    """A real customer: the estimate counts what rankers read of the purchases ``known``, rows of ``items``.

    The preferences count the true values of these and of the ``later`` ones: all that there is to tell of the taste.
    """
    every = items.true_values[np.concatenate([known, later])]
    taste = PRIOR_STRENGTH * items.value_share + _count_values(every, np.ones(every.shape))
    estimate = _estimate(items, known.astype(np.int64))
    return User(user_id, source, split, table_to_weights(taste), table_to_weights(estimate))


def match_table(weights: Mapping[str, Mapping[str, float]]) -> NDArray[np.float32]:
    """Preference weights -> ``[10, VALUE_SLOTS]`` in [0, 1]: a value's weight over its field's largest.

    ``unknown`` gets 0.5. Raises FvrecError on a value outside the schema, or a weight that is negative or not finite.

    >>> float(match_table({"color": {"red": 0.6, "blue": 0.3}})[FIELDS.index("color"), VALUES["color"].index("blue")])
    0.5
    """
    table = weights_to_table(weights)
    table[_COLUMNS, UNKNOWN_CODES] = 0.0
    largest = table.max(axis=1, keepdims=True)
    match = np.where(largest > 0, table / np.where(largest > 0, largest, 1.0), 0.5)
    match[_COLUMNS, UNKNOWN_CODES] = 0.5
    return match.astype(np.float32)


def relevance(match: NDArray[np.float32], values: NDArray[np.int16]) -> NDArray[np.float32]:
    """``match [..., 10]`` averaged over the fields whose value is known; 0.5 where none is. -> ``[...]``."""
    known = values != UNKNOWN_CODES
    count = known.sum(axis=-1)
    mean = (match * known).sum(axis=-1) / np.maximum(1, count)
    return np.where(count > 0, mean, 0.5).astype(np.float32)


def weights_to_table(weights: Mapping[str, Mapping[str, float]]) -> NDArray[np.float64]:
    """field -> value -> weight as ``[10, VALUE_SLOTS]``; absent entries are 0."""
    table = np.zeros((len(FIELDS), VALUE_SLOTS))
    for field, cells in weights.items():
        if field not in VALUES:
            raise FvrecError("a preference names a field outside the schema", found=field, allowed=FIELDS)
        for value, weight in cells.items():
            if value not in VALUES[field]:
                raise FvrecError("a preference names a value outside the schema", where=field, found=value)
            if not (np.isfinite(weight) and weight >= 0):
                raise FvrecError(
                    "a preference weight is negative or not finite", where=f"{field}.{value}", found=weight
                )
            table[FIELDS.index(field), VALUES[field].index(value)] = weight
    return table


def table_to_weights(table: NDArray[np.float64]) -> dict[str, dict[str, float]]:
    """``[10, VALUE_SLOTS]`` as field -> value -> weight: each field sums to 1, zeros left out."""
    weights = {}
    for column, field in enumerate(FIELDS):
        row = table[column] / total if (total := table[column].sum()) > 0 else table[column]
        cells = {value: float(row[code]) for code, value in enumerate(VALUES[field]) if row[code] > 0}
        weights[field] = cells or {UNKNOWN: 1.0}
    return weights


def _draw_preferences(items: ItemTable, rng: np.random.Generator) -> NDArray[np.float64]:
    prototypes = rng.choice(len(items), size=min(PROTOTYPES, len(items)), replace=False)
    liked = _count_values(items.true_values[prototypes], rng.dirichlet(np.ones(len(prototypes)))[:, None])
    liked /= np.maximum(liked.sum(axis=1, keepdims=True), 1e-12)
    has_liking = liked.sum(axis=1, keepdims=True) > 0.5
    importance = rng.uniform(size=(len(FIELDS), 1)) * has_liking
    return importance * liked + (1.0 - importance) * items.value_share


def _draw_purchases(items: ItemTable, preferences: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    match = match_table(table_to_weights(preferences))[_COLUMNS, items.true_values]
    keys = PURCHASE_SHARPNESS * relevance(match, items.true_values) + rng.gumbel(size=len(items))
    count = min(int(rng.integers(PURCHASES_LOW, PURCHASES_HIGH + 1)), len(items))
    return np.argsort(-keys, kind="stable")[:count]


def _estimate(items: ItemTable, bought: NDArray[np.int64]) -> NDArray[np.float64]:
    """Counts of what rankers may know: predicted values alone, in the purchases and in the prior."""
    seen = _count_values(items.predicted_values[bought], items.confidence[bought])
    return PRIOR_STRENGTH * items.predicted_share + seen


def _count_values(values: NDArray[np.int16], weight: NDArray[np.floating]) -> NDArray[np.float64]:
    table = np.zeros((len(FIELDS), VALUE_SLOTS))
    np.add.at(table, (np.broadcast_to(_COLUMNS, values.shape), values), np.broadcast_to(weight, values.shape))
    table[_COLUMNS, UNKNOWN_CODES] = 0.0
    return table
