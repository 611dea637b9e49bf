"""Playing whole banks: lists by a chooser, in a feed with answers, all rows together; the judge pays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fvrec.rl.bank import Bank
from fvrec.rl.env import EnvConfig
from fvrec.rl.features import ListFeatures
from fvrec.rl.policy import SetNetwork
from fvrec.rl.reward import ListReward, RewardConfig
from fvrec.rl.serve import best_of

JUDGED_AT = (0.02, 0.08, 0.15, 0.3)
"""Lambda = mu at which a policy for every trade-off is judged; their mean chooses the checkpoint."""
ROWS_AT_ONCE = 256
Chooser = Callable[[ListFeatures, NDArray[np.int64]], NDArray[np.int64]]
"""Features of the lists under way, and the lists so far ``[B, t]`` -> what to add ``[B]``."""


@dataclass(frozen=True)
class Played:
    """Lists ``[M, K]``, reward ``[M]`` until the user left, and how many items were seen ``[M]``."""

    lists: NDArray[np.int64]
    reward: NDArray[np.float64]
    seen: NDArray[np.int64]


def play(bank: Bank, env: EnvConfig, choose: Callable[[NDArray[np.int64]], Chooser], *, seed: int) -> Played:
    """Every row of the bank once, at ``env.reward``. ``choose(rows)`` makes a chooser for those rows.

    In a feed the draws behind answers and leaving depend on the seed, the row and the position alone: two choosers
    meet the same luck.
    """
    parts = np.array_split(np.arange(len(bank)), max(1, -(-len(bank) // ROWS_AT_ONCE)))
    uniform = np.random.default_rng([seed, 31]).random((len(bank), env.list_length, 3))
    played = [_play(bank, env, choose(rows), rows, uniform[rows]) for rows in parts]
    return Played(*(np.concatenate([getattr(p, name) for p in played]) for name in ("lists", "reward", "seen")))


def _play(bank: Bank, env: EnvConfig, chooser: Chooser, rows: NDArray[np.int64], draws: NDArray[np.float64]) -> Played:
    batch, feedback = np.arange(len(rows)), env.feedback
    weights = np.full(len(rows), env.reward.redundancy), np.full(len(rows), env.reward.novelty)
    features, truth = ListFeatures(bank, len(rows), env.list_length, feedback), ListReward(bank, len(rows))
    features.start(batch, rows, *weights)
    truth.start(batch, rows, *weights)
    lists = np.zeros((len(rows), 0), dtype=np.int64)
    there = np.ones(len(rows), dtype=bool)
    reward, seen = np.zeros(len(rows)), np.zeros(len(rows), dtype=np.int64)
    for position in range(env.list_length):
        chosen = chooser(features, lists)
        answer = None
        seen += there
        now = there.copy()
        if feedback:
            interest = truth.interest(chosen, feedback.boredom)
            luck = draws[:, position]
            answer = feedback.answer(interest, luck[:, 0], feedback.as_normal(luck[:, 1]))
            there &= luck[:, 2] >= feedback.leave * (1.0 - feedback.appeal(interest))
        reward += now * truth.append(chosen).reward
        features.append(chosen, answer)
        lists = np.concatenate([lists, chosen[:, None]], axis=1)
    return Played(lists, reward, seen)


def by_network(network: SetNetwork) -> Callable[[NDArray[np.int64]], Chooser]:
    """The network's best available candidate, whatever the rows."""

    def choose(features: ListFeatures, lists: NDArray[np.int64]) -> NDArray[np.int64]:
        with torch.no_grad():
            return best_of(network, features)

    return lambda rows: choose


def mean_reward(network: SetNetwork, bank: Bank, env: EnvConfig) -> float:
    """Mean true reward over a bank: at the environment's lambda and mu, or over ``JUDGED_AT`` where it varies them."""
    rewards = [RewardConfig(weight, weight) for weight in JUDGED_AT] if env.vary else [env.reward]
    settings = [EnvConfig(env.list_length, reward, False, env.feedback) for reward in rewards]
    return float(np.mean([play(bank, one, by_network(network), seed=0).reward.mean() for one in settings]))
