from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from fvrec.errors import FvrecError
from fvrec.records import User
from fvrec.rerank.pool import UNKNOWN_CODES, encode_values
from fvrec.rl.items import ItemTable
from fvrec.rl.users import (
    match_table,
    relevance,
    sample_population,
    sample_users,
    user_of_purchases,
    weights_to_table,
)
from fvrec.schema import FIELDS, UNKNOWN, VALUES

COLUMNS = np.arange(len(FIELDS))


def true_relevance(items: ItemTable, weights: Mapping[str, Mapping[str, float]]) -> np.ndarray:
    return relevance(match_table(weights)[COLUMNS, items.true_values], items.true_values)


def test_same_seed_same_users_and_another_split_is_another_crowd(val_items: ItemTable) -> None:
    first = sample_users(val_items, n=20, split="train", seed=3)
    assert first == sample_users(val_items, n=20, split="train", seed=3)
    other = sample_users(val_items, n=20, split="test", seed=3)
    assert not {user.user_id for user in first} & {user.user_id for user in other}
    assert all(a.preferences != b.preferences for a, b in zip(first, other, strict=True))


def test_weights_are_distributions_over_the_schema(val_items: ItemTable) -> None:
    for user in sample_users(val_items, n=10, split="val", seed=0):
        for weights in (user.preferences, user.estimate):
            assert tuple(weights) == FIELDS
            for field, cells in weights.items():
                assert set(cells) <= set(VALUES[field])
                assert sum(cells.values()) == pytest.approx(1.0)
                assert min(cells.values()) > 0


def test_estimates_rest_on_three_to_eight_suitable_purchases(val_items: ItemTable) -> None:
    population = sample_population(val_items, n=30, split="val", seed=0, source="hand")
    bought = Counter(interaction.user_id for interaction in population.interactions)
    assert set(bought.values()) <= set(range(3, 9))
    assert len(set(bought.values())) > 2
    rows = {item_id: row for row, item_id in enumerate(val_items.item_ids)}
    above_average = []
    for user in population.users:
        scores = true_relevance(val_items, user.preferences)
        mine = [rows[i.item_id] for i in population.interactions if i.user_id == user.user_id]
        above_average.append(scores[mine].mean() > scores.mean())
    assert np.mean(above_average) > 0.95


def test_the_estimate_is_noisy_but_tells_its_user_from_others(val_items: ItemTable) -> None:
    users = sample_users(val_items, n=60, split="val", seed=1)
    truth = np.stack([true_relevance(val_items, user.preferences) for user in users])
    guess = np.stack([true_relevance(val_items, user.estimate) for user in users])
    own = np.array([np.corrcoef(t, g)[0, 1] for t, g in zip(truth, guess, strict=True)])
    other = np.array([np.corrcoef(t, g)[0, 1] for t, g in zip(truth, np.roll(guess, 1, axis=0), strict=True)])
    assert 0.3 < own.mean() < 0.95
    assert own.mean() > other.mean() + 0.2


def test_the_estimate_rests_on_predicted_values_alone(val_items: ItemTable) -> None:
    """Where everything is read as red, rankers can only believe in red, whatever the labels say."""
    color, red = FIELDS.index("color"), VALUES["color"].index("red")
    predicted = val_items.predicted_values.copy()
    predicted[:, color] = red
    (user,) = sample_users(replace(val_items, predicted_values=predicted), n=1, split="test", seed=0)
    assert user.estimate["color"] == {"red": 1.0}
    assert len(user.preferences["color"]) > 1


def test_a_field_that_nothing_knows_does_not_matter(val_items: ItemTable) -> None:
    fit = FIELDS.index("fit")
    true, predicted = val_items.true_values.copy(), val_items.predicted_values.copy()
    true[:, fit] = predicted[:, fit] = UNKNOWN_CODES[fit]
    items = replace(val_items, true_values=true, predicted_values=predicted)
    user = sample_users(items, n=1, split="val", seed=0)[0]
    assert user.preferences["fit"] == user.estimate["fit"] == {UNKNOWN: 1.0}
    without = {field: cells for field, cells in user.preferences.items() if field != "fit"}
    np.testing.assert_array_equal(true_relevance(items, user.preferences), true_relevance(items, without))


def test_relevance_is_the_mean_match_over_known_fields() -> None:
    match = match_table({"color": {"red": 0.6, "blue": 0.2}, "style": {"casual": 1.0}})
    values = encode_values([{"color": "blue", "style": "party"}, {"color": "red"}, {}])
    # blue 0.2/0.6 = 1/3 and party 0: 1/6; red alone: 1; nothing known: 1/2
    np.testing.assert_allclose(relevance(match[COLUMNS, values], values), [1 / 6, 1.0, 0.5], rtol=1e-6)


def test_bad_requests_for_users_are_named(val_items: ItemTable) -> None:
    with pytest.raises(FvrecError, match="unknown split"):
        sample_users(val_items, n=1, split="holdout", seed=0)  # type: ignore[arg-type]
    with pytest.raises(FvrecError, match="at least one user"):
        sample_users(val_items, n=0, split="val", seed=0)
    with pytest.raises(FvrecError, match="outside the schema"):
        weights_to_table({"color": {"octarine": 1.0}})
    with pytest.raises(FvrecError, match="not finite"):
        weights_to_table({"color": {"red": float("nan")}})


def test_of_a_real_customer_rankers_know_what_was_read_of_the_first_purchases(val_items: ItemTable) -> None:
    color, red, blue = FIELDS.index("color"), VALUES["color"].index("red"), VALUES["color"].index("blue")
    true, predicted = val_items.true_values.copy(), val_items.predicted_values.copy()
    true[:5, color], predicted[:5, color] = blue, red  # bought first, and read wrong
    true[5:9, color] = blue
    items = replace(val_items, true_values=true, predicted_values=predicted)

    def customer(later: int) -> User:
        rows = np.arange(5), np.arange(5, 5 + later)
        return user_of_purchases(items, "c", known=rows[0], later=rows[1], split="test", source="hm")

    first, more = customer(0), customer(4)
    assert first.estimate == more.estimate
    assert max(first.estimate["color"], key=lambda value: first.estimate["color"][value]) == "red"
    assert more.preferences["color"]["blue"] > first.preferences["color"]["blue"] > 0.5


def test_a_catalogue_of_one_item_still_has_users(items_factory: Callable[..., ItemTable]) -> None:
    assert len(sample_users(items_factory(1, seed=0), n=2, split="val", seed=0)) == 2
