from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fvrec.rl.bank import Bank
from fvrec.rl.coaching import CoachedVecEnv, potential
from fvrec.rl.env import EnvConfig
from fvrec.rl.feedback import FeedbackConfig
from fvrec.rl.items import ItemTable
from fvrec.rl.requests import RequestSampler
from fvrec.rl.reward import RewardConfig
from fvrec.rl.users import sample_users
from fvrec.rl.vec_env import ListVecEnv

REWARD = RewardConfig(0.3, 0.2)
LIST = EnvConfig(5, REWARD)
FEED = EnvConfig(5, REWARD, feedback=FeedbackConfig("click", leave=0.5))


@pytest.fixture(scope="module")
def bank(val_items: ItemTable) -> Bank:
    users = sample_users(val_items, n=30, split="train", seed=0)
    return Bank.of(RequestSampler(val_items, users, 12).of_every_user(seed=0))


def returns(env: ListVecEnv, episodes: int, *, seed: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """What random lists earned, as the environment pays it and as ``episode`` tells it, and whose lists they were."""
    rng, copies = np.random.default_rng(seed), env.num_envs
    env.seed(seed)
    env.reset()
    paid: list[float] = []
    plain: list[float] = []
    users: list[str] = []
    running = np.zeros(copies)
    while len(paid) < episodes:
        actions = np.array([rng.choice(np.flatnonzero(mask)) for mask in env.action_masks()])
        _, rewards, ended, infos = env.step(actions)
        running += rewards
        for copy in np.flatnonzero(ended):
            paid.append(running[copy])
            plain.append(infos[copy]["episode"]["r"])
            users.append(infos[copy]["user_id"])
            running[copy] = 0.0
    return np.array(paid), np.array(plain), users


def test_of_a_list_every_return_is_moved_by_what_its_request_says_alone(bank: Bank) -> None:
    paid, plain, users = returns(CoachedVecEnv(bank, 8, LIST), 200, seed=1)
    start = {request.user_id: level for request, level in zip(bank.requests, potential(bank, LIST)[:, 0], strict=True)}
    np.testing.assert_allclose(plain - paid, [start[user] for user in users], atol=1e-4)
    assert len(set(users)) > 20
    assert paid.std() < 0.8 * plain.std()


def test_of_a_feed_the_mean_is_moved_by_that_and_the_luck_of_leaving_is_gone(bank: Bank) -> None:
    paid, plain, users = returns(CoachedVecEnv(bank, 32, FEED), 4000, seed=2)
    start = {request.user_id: level for request, level in zip(bank.requests, potential(bank, FEED)[:, 0], strict=True)}
    off = plain - paid - np.array([start[user] for user in users])
    assert abs(off.mean()) < 3 * off.std() / len(off) ** 0.5
    assert paid.std() < 0.8 * plain.std()


def test_the_coach_changes_the_reward_and_nothing_else(bank: Bank) -> None:
    plain, coached = ListVecEnv(bank, 4, FEED), CoachedVecEnv(bank, 4, FEED)
    seen: list[list[Any]] = []
    for env in (plain, coached):
        env.seed(3)
        seen.append([env.reset()])
        for position in range(12):
            masks = env.action_masks()
            observation, _, ended, _ = env.step(masks.argmax(axis=1))
            seen[-1] += [observation, ended]
            assert masks.any(axis=1).all(), position
    for one, other in zip(*seen, strict=True):
        np.testing.assert_array_equal(one, other)


def test_nothing_is_left_to_earn_when_the_list_is_full_and_less_when_the_user_may_leave(bank: Bank) -> None:
    list_left, feed_left = potential(bank, LIST), potential(bank, FEED)
    assert (list_left[:, -1] == 0).all()
    assert (np.diff(list_left, axis=1) < 0).all()
    assert (feed_left[:, 0] < list_left[:, 0]).all()
