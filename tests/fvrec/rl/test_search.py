from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from fvrec.rl.bank import Bank
from fvrec.rl.baselines import batched_mmr, pyversity_lists
from fvrec.rl.compare import hypervolume
from fvrec.rl.items import ItemTable
from fvrec.rl.oracle import optimum, truth_of
from fvrec.rl.requests import RequestSampler
from fvrec.rl.reward import RewardConfig, list_rewards
from fvrec.rl.search import beam, greedy, swap
from fvrec.rl.users import sample_users

REWARD = RewardConfig(0.2, 0.15)


@pytest.fixture(scope="module")
def bank(val_items: ItemTable) -> Bank:
    users = sample_users(val_items, n=4, split="val", seed=0)
    return Bank.of(RequestSampler(val_items, users, 7).of_every_user(seed=0))


def test_with_the_truth_in_hand_the_expected_reward_is_the_true_one(bank: Bank) -> None:
    lists = np.array([np.random.default_rng(seed).permutation(7)[:4] for seed in range(4)])
    expected = truth_of(bank, np.arange(4), REWARD).rewards(lists[:, None])[:, 0]
    np.testing.assert_allclose(expected, list_rewards(bank, lists, REWARD), rtol=1e-5)


def test_the_optimum_is_that_of_trying_every_list_and_no_search_beats_it(bank: Bank) -> None:
    problem = truth_of(bank, np.arange(4), REWARD)
    every = np.array(list(permutations(range(7), 4)))
    best = problem.rewards(np.broadcast_to(every, (4, *every.shape))).max(axis=1)
    searched = [greedy(problem, 4), swap(problem, greedy(problem, 4)), beam(problem, 4)]
    for row in range(4):
        found = optimum(problem, row, 4, nodes=100_000)
        assert found.proven
        assert found.reward == pytest.approx(best[row], abs=1e-5)
        stopped = optimum(problem, row, 4, nodes=1)
        assert stopped.bound >= best[row] - 1e-5
    for lists in searched:
        assert (problem.rewards(lists[:, None])[:, 0] <= best + 1e-5).all()


def test_exchange_never_loses_and_leaves_what_was_shown(bank: Bank) -> None:
    problem = truth_of(bank, np.arange(4), REWARD)
    start = np.tile(np.arange(5), (4, 1))
    better = swap(problem, start, start=2)
    assert (better[:, :2] == start[:, :2]).all()
    assert all(len(set(row)) == 5 for row in better.tolist())
    assert (problem.rewards(better[:, None]) >= problem.rewards(start[:, None])).all()


def test_the_batched_mmr_is_pyversitys(bank: Bank) -> None:
    ours = batched_mmr(bank.beliefs.relevance, bank.beliefs.vectors, 5, 0.7)
    np.testing.assert_array_equal(ours, pyversity_lists("mmr", 0.3)(bank, 5))


def test_hypervolume_by_hand() -> None:
    assert hypervolume([(0.9, 0.5), (0.8, 0.7)], (0.7, 0.0)) == pytest.approx(0.2 * 0.5 + 0.1 * 0.2)
    assert hypervolume([(0.6, 1.0)], (0.7, 0.0)) == 0.0
