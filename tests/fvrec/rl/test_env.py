from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from fvrec.errors import FvrecError
from fvrec.rl.bank import Bank
from fvrec.rl.env import EnvConfig, ListEnv
from fvrec.rl.features import FEATURES
from fvrec.rl.items import ItemTable
from fvrec.rl.requests import RequestSampler
from fvrec.rl.reward import RewardConfig
from fvrec.rl.users import sample_users
from fvrec.rl.vec_env import ListVecEnv

CONFIG = EnvConfig(5, RewardConfig(redundancy=0.3, novelty=0.2))


@pytest.fixture(scope="module")
def sampler(val_items: ItemTable) -> RequestSampler:
    return RequestSampler(val_items, sample_users(val_items, n=8, split="train", seed=0), 12)


def test_both_checkers_are_content(val_items: ItemTable) -> None:
    sampler = RequestSampler(val_items, sample_users(val_items, n=8, split="train", seed=0), 300)
    env = ListEnv(Bank.draw(sampler, 4, seed=0), CONFIG)
    # The checkers draw actions without asking for the mask: this seed repeats none within a list.
    env.action_space.seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*spec.*")
        # A row per candidate is no image and no vector: this project's policy reads it as a set.
        warnings.filterwarnings("ignore", message=".*unconventional shape.*")
        check_env(env, skip_render_check=True)
        sb3_check_env(env)


def test_info_holds_every_term_of_the_reward(sampler: RequestSampler) -> None:
    env = ListEnv(sampler, CONFIG)
    env.reset(seed=1)
    ends, items = [], []
    for action in range(5):
        _, reward, terminated, truncated, info = env.step(np.int64(action))
        parts = info["relevance"] - 0.3 * info["redundancy"] + 0.2 * info["novelty"]
        assert reward == pytest.approx(parts, abs=1e-6)
        assert info["position"] == action
        assert not truncated
        ends.append(terminated)
        items.append(info["item_id"])
    assert ends == [False] * 4 + [True]
    assert len(set(items)) == 5


def test_the_mask_and_the_observation_follow_the_list(sampler: RequestSampler) -> None:
    env = ListEnv(sampler, CONFIG)
    first, _ = env.reset(seed=1)
    assert env.action_masks().all()
    similar = FEATURES.index("max_similarity")
    assert (first[:, similar] == 0).all()
    second, *_ = env.step(np.int64(3))
    assert np.flatnonzero(~env.action_masks()).tolist() == [3]
    assert np.flatnonzero(second[:, FEATURES.index("available")] == 0).tolist() == [3]
    assert second[3, similar] == pytest.approx(1.0, abs=1e-5)


def test_what_is_not_allowed_is_refused(sampler: RequestSampler) -> None:
    env = ListEnv(sampler, CONFIG)
    with pytest.raises(FvrecError, match="reset"):
        env.step(np.int64(0))
    env.reset(seed=1)
    env.step(np.int64(3))
    for action in (3, 12, -1):
        with pytest.raises(FvrecError, match="not an allowed action"):
            env.step(np.int64(action))
    for length in (0, 13):
        with pytest.raises(FvrecError, match="allowed: 1 to 12"):
            ListEnv(sampler, EnvConfig(length))
        with pytest.raises(FvrecError, match="allowed: 1 to 12"):
            ListVecEnv(sampler, 2, EnvConfig(length))


def test_the_vectorised_environment_agrees_step_by_step(sampler: RequestSampler) -> None:
    vectorised = ListVecEnv(sampler, 3, CONFIG)
    vectorised.seed(11)
    singles = [ListEnv(sampler, CONFIG) for _ in range(3)]
    observations: Any = vectorised.reset()
    for number, env in enumerate(singles):
        observation, info = env.reset(seed=11 + number)
        np.testing.assert_array_equal(observations[number], observation)
        assert vectorised.reset_infos[number] == info
    rng = np.random.default_rng(0)
    for _ in range(2 * CONFIG.list_length + 1):  # over two ends of an episode
        masks = vectorised.action_masks()
        actions = np.array([rng.choice(np.flatnonzero(mask)) for mask in masks])
        observations, rewards, dones, infos = vectorised.step(actions)
        for number, env in enumerate(singles):
            np.testing.assert_array_equal(masks[number], env.action_masks())
            observation, reward, terminated, _, info = env.step(actions[number])
            assert rewards[number] == pytest.approx(reward, abs=1e-6)
            assert dones[number] == terminated
            assert {key: infos[number][key] for key in info} == pytest.approx(info)
            if terminated:
                np.testing.assert_allclose(infos[number]["terminal_observation"], observation, atol=1e-6)
                observation, _ = env.reset()
            np.testing.assert_allclose(observations[number], observation, atol=1e-6)


def test_the_episode_return_is_the_sum_of_its_rewards(sampler: RequestSampler) -> None:
    env = ListVecEnv(sampler, 2, CONFIG)
    env.seed(0)
    env.reset()
    total = np.zeros(2)
    for action in range(5):
        _, rewards, _, infos = env.step(np.array([action, action]))
        total += rewards
    assert [info["episode"]["r"] for info in infos] == pytest.approx(total.tolist(), abs=1e-5)
    with pytest.raises(FvrecError, match="not an allowed action"):
        [env.step(np.array([0, 0])) for _ in range(2)]
