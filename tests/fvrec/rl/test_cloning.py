"""The warm start: a critic that fits what PPO is paid, and a feed's policy that does as its teacher."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fvrec.rl.bank import Bank
from fvrec.rl.cloning import clone, scale_inputs, warm_critic
from fvrec.rl.coaching import CoachedVecEnv
from fvrec.rl.env import EnvConfig
from fvrec.rl.features import ListFeatures
from fvrec.rl.feedback import FeedbackConfig
from fvrec.rl.feeds import replanning
from fvrec.rl.items import ItemTable
from fvrec.rl.playing import Chooser, by_network, play
from fvrec.rl.policy import PolicyConfig, SetNetwork
from fvrec.rl.requests import RequestSampler
from fvrec.rl.reward import RewardConfig
from fvrec.rl.users import sample_users

REWARD = RewardConfig(0.3, 0.2)
LIST = EnvConfig(4, REWARD)
FEED = EnvConfig(4, REWARD, feedback=FeedbackConfig("click", leave=0.4))


@pytest.fixture(scope="module")
def bank(val_items: ItemTable) -> Bank:
    users = sample_users(val_items, n=60, split="train", seed=0)
    return Bank.of(RequestSampler(val_items, users, 12).of_every_user(seed=0))


def paid(network: SetNetwork, bank: Bank, env: EnvConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of whole episodes under the network: the critic's word at the start, what PPO is paid, the plain return."""
    vec_env = CoachedVecEnv(bank, 32, env)
    vec_env.seed(4)
    observation: Any = vec_env.reset()
    running, said = np.zeros(32), values(network, observation)
    rows: list[tuple[float, float, float]] = []
    while len(rows) < 800:
        with torch.no_grad():
            logits, _ = network(torch.from_numpy(observation))
        chosen = np.where(vec_env.action_masks(), logits.numpy(), -np.inf).argmax(axis=1)
        observation, reward, ended, infos = vec_env.step(chosen)
        running += reward
        fresh = values(network, observation)
        for copy in np.flatnonzero(ended):
            rows.append((said[copy], running[copy], infos[copy]["episode"]["r"]))
            running[copy], said[copy] = 0.0, fresh[copy]
    said_all, paid_all, plain_all = np.array(rows).T
    return said_all, paid_all, plain_all


def values(network: SetNetwork, observation: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(network(torch.from_numpy(observation))[1].numpy()).copy()


@pytest.mark.parametrize("env", [LIST, FEED], ids=["list", "feed"])
def test_the_warm_critic_says_what_ppo_will_be_paid(bank: Bank, env: EnvConfig) -> None:
    torch.manual_seed(0)
    network = SetNetwork(PolicyConfig())
    scale_inputs(network, bank, env, seed=0)
    warm_critic(network, bank, env, epochs=40, lr=3e-3, seed=0)
    said, earned, plain = paid(network, bank, env)
    assert abs(said.mean() - earned.mean()) < 0.1
    assert plain.mean() - earned.mean() > 0.5, "the potential takes most of a return away"
    assert np.mean((said - earned) ** 2) < earned.var()


def test_a_cloned_feed_chooses_as_replanning_does_more_often(bank: Bank) -> None:
    torch.manual_seed(0)
    network = SetNetwork(PolicyConfig(gated=False))
    scale_inputs(network, bank, FEED, seed=0)
    for weight in network.residual.parameters():  # it starts far from the greedy order, which is near the teacher's
        torch.nn.init.normal_(weight, std=0.3)
    teacher = replanning(bank, REWARD, FEED.list_length)

    def alike() -> float:
        """How often both choose the same, along the lists of the network."""
        same: list[np.ndarray] = []

        def watched(rows: NDArray[np.int64]) -> Chooser:
            ask, choose = teacher(rows), by_network(network)(rows)

            def both(features: ListFeatures, lists: NDArray[np.int64]) -> NDArray[np.int64]:
                chosen = choose(features, lists)
                same.append(chosen == ask(features, lists))
                return chosen

            return both

        play(bank, FEED, watched, seed=0)
        return float(np.mean(same))

    before = alike()
    clone(network, bank, FEED, epochs=20, lr=3e-3, seed=0)
    assert before < 0.5
    assert alike() > before + 0.2
