from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fvrec.errors import FvrecError
from fvrec.rl.bank import Bank
from fvrec.rl.env import EnvConfig, ListEnv
from fvrec.rl.feedback import FeedbackConfig
from fvrec.rl.items import ItemTable
from fvrec.rl.policy import PolicyConfig, SetNetwork
from fvrec.rl.requests import Request, RequestSampler
from fvrec.rl.serve import Feed
from fvrec.rl.users import sample_users
from fvrec.rl.vec_env import ListVecEnv

CONFIG = EnvConfig(6, vary=True, feedback=FeedbackConfig("click", leave=0.6))


@pytest.fixture(scope="module")
def bank(val_items: ItemTable) -> Bank:
    users = sample_users(val_items, n=8, split="train", seed=0)
    return Bank.of(RequestSampler(val_items, users, 12).of_every_user(seed=0))


def test_the_vectorised_feed_agrees_step_by_step_though_users_leave_at_different_times(bank: Bank) -> None:
    vectorised = ListVecEnv(bank, 4, CONFIG)
    vectorised.seed(3)
    singles = [ListEnv(bank, CONFIG) for _ in range(4)]
    observations: Any = vectorised.reset()
    for number, env in enumerate(singles):
        np.testing.assert_array_equal(observations[number], env.reset(seed=3 + number)[0])
    rng, lengths = np.random.default_rng(0), set()
    for _ in range(25):
        masks = vectorised.action_masks()
        actions = np.array([rng.choice(np.flatnonzero(mask)) for mask in masks])
        observations, rewards, dones, infos = vectorised.step(actions)
        for number, env in enumerate(singles):
            observation, reward, terminated, _, info = env.step(actions[number])
            assert rewards[number] == pytest.approx(reward, abs=1e-6)
            assert dones[number] == terminated
            assert {key: infos[number][key] for key in info} == pytest.approx(info, abs=1e-6)
            if terminated:
                lengths.add(infos[number]["episode"]["l"])
                np.testing.assert_allclose(infos[number]["terminal_observation"], observation, atol=1e-5)
                observation, _ = env.reset()
            np.testing.assert_allclose(observations[number], observation, atol=1e-5)
    assert len(lengths) > 2


@pytest.mark.parametrize(("kind", "good", "bad"), [("click", 1.0, 0.0), ("dwell", 0.9, 0.1)])
def test_what_is_heard_moves_the_belief_in_what_is_alike_most(
    request_factory: Callable[..., Request], kind: Any, good: float, bad: float
) -> None:
    red, blue = {"color": "red", "style": "party"}, {"color": "blue", "style": "home"}
    pool = request_factory([red, red, blue], [0.6, 0.5, 0.5]).pool
    moved = {}
    for answer in (good, bad):
        feed = Feed(SetNetwork(PolicyConfig()), pool, 3, redundancy=0.0, novelty=0.0, feedback=FeedbackConfig(kind))
        assert feed.next() == 0
        feed.heard(answer)
        moved[answer] = feed.relevance - pool.relevance
    assert moved[good][1] > moved[good][2] > 0 > moved[bad][2] > moved[bad][1]


def test_next_and_heard_take_turns(request_factory: Callable[..., Request]) -> None:
    pool = request_factory([{"color": "red"}, {"color": "blue"}], [0.6, 0.5]).pool
    feed = Feed(SetNetwork(PolicyConfig()), pool, 2)
    with pytest.raises(FvrecError, match="call next first"):
        feed.heard(1.0)
    assert feed.next() == feed.next() == 0
    with pytest.raises(FvrecError, match="not finite"):
        feed.heard(float("nan"))
    feed.heard(1.0)
    assert feed.next() == 1
    feed.heard(0.0)
    with pytest.raises(FvrecError, match="shown all"):
        feed.next()
    with pytest.raises(FvrecError, match="does not fit"):
        Feed(SetNetwork(PolicyConfig()), pool, 3)


@pytest.mark.parametrize("settings", [{"kind": "wink"}, {"leave": 2.0}, {"noise": 0.0}, {"slope": float("nan")}])
def test_a_model_of_feedback_is_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(FvrecError, match="model of feedback"):
        FeedbackConfig(**settings)
