from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from fvrec.errors import FvrecError
from fvrec.records import Interaction
from fvrec.rerank.diversify import BaseRank
from fvrec.rl.items import ItemTable
from fvrec.rl.requests import RequestSampler
from fvrec.rl.reward import RewardConfig
from fvrec.rl.scoring import RandomRank, rank_all, score_lists
from fvrec.rl.users import sample_population, sample_users
from fvrec.stats import paired_difference


def test_pools_hold_distinct_items_and_the_same_seed_gives_the_same_ones(val_items: ItemTable) -> None:
    sampler = RequestSampler(val_items, sample_users(val_items, n=5, split="val", seed=0), 40)
    first, again = sampler.of_every_user(seed=4), sampler.of_every_user(seed=4)
    assert [r.pool.item_ids for r in first] == [r.pool.item_ids for r in again]
    assert all(len(set(r.pool.item_ids)) == 40 for r in first)
    assert len({r.pool.item_ids for r in first}) == 5


def test_the_pool_tells_nothing_of_the_truth(val_items: ItemTable) -> None:
    users = sample_users(val_items, n=3, split="val", seed=0)
    secret = [replace(user, preferences=users[0].preferences) for user in users]
    lied = replace(val_items, true_values=np.roll(val_items.true_values, 7, axis=0))
    for honest, changed in zip(
        RequestSampler(val_items, users, 30).of_every_user(seed=1),
        RequestSampler(lied, secret, 30).of_every_user(seed=1),
        strict=True,
    ):
        assert honest.pool.item_ids == changed.pool.item_ids
        for name in ("relevance", "embeddings", "values", "field_match"):
            np.testing.assert_array_equal(getattr(honest.pool, name), getattr(changed.pool, name))
        assert not np.array_equal(honest.true_relevance, changed.true_relevance)


def test_what_the_user_bought_is_recalled_only_when_nothing_else_is_left(val_items: ItemTable) -> None:
    crowd = sample_population(val_items, n=40, split="val", seed=0)
    pairs = {(one.user_id, one.item_id) for one in crowd.interactions}

    def owned(pool_size: int, bought: Sequence[Interaction]) -> int:
        requests = RequestSampler(val_items, crowd.users, pool_size, bought).of_every_user(seed=1)
        return sum((request.user_id, item_id) in pairs for request in requests for item_id in request.pool.item_ids)

    assert owned(60, ()) > 0
    assert owned(60, crowd.interactions) == 0
    assert owned(292, crowd.interactions) == 0  # nobody buys more than 8 of the 300
    assert owned(300, crowd.interactions) == len(pairs)


def test_a_doubtful_reading_counts_as_unknown(val_items: ItemTable) -> None:
    users = sample_users(val_items, n=1, split="val", seed=0)
    doubtful = replace(val_items, confidence=np.zeros_like(val_items.confidence))
    pool = RequestSampler(doubtful, users, 30).of_every_user(seed=1)[0].pool
    assert (pool.field_match == 0.5).all()
    assert (pool.relevance == 0.5).all()


def test_a_ranker_that_cannot_tell_candidates_apart_gains_nothing_from_their_order(val_items: ItemTable) -> None:
    users = sample_users(val_items, n=300, split="val", seed=0)
    requests = RequestSampler(val_items, users, 30).of_every_user(seed=1)
    blind = [
        replace(request, pool=replace(request.pool, relevance=np.full(30, 0.5, dtype=np.float32)))
        for request in requests
    ]
    reward = RewardConfig()
    first_ten = score_lists(blind, rank_all(BaseRank(), blind, 10), reward).true_reward
    by_chance = score_lists(requests, rank_all(RandomRank(0), requests, 10), reward).true_reward
    gain = paired_difference(first_ten, by_chance, seed=0)
    assert gain.low < 0 < gain.high
    informed = score_lists(requests, rank_all(BaseRank(), requests, 10), reward).true_reward
    assert paired_difference(informed, by_chance, seed=0).above_zero


def test_what_does_not_fit_is_refused(val_items: ItemTable) -> None:
    users = sample_users(val_items, n=1, split="val", seed=0)
    with pytest.raises(FvrecError, match="allowed: 1 to 300"):
        RequestSampler(val_items, users, 301)
    with pytest.raises(FvrecError, match="no users"):
        RequestSampler(val_items, [], 10)
