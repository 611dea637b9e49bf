"""Less noise for training: the reward shaped by what only the simulation knows. The best policy stays the same.

How well a list can do is mostly a matter of the user and the pool, and when a user leaves is mostly luck. An
observation tells neither, so both are noise to a critic. The potential below knows the truth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fvrec.rl.bank import Bank
from fvrec.rl.env import EnvConfig
from fvrec.rl.requests import RequestSource
from fvrec.rl.reward import position_discount
from fvrec.rl.vec_env import ListVecEnv


def potential(bank: Bank, config: EnvConfig) -> NDArray[np.float64]:
    """``[M, K + 1]``: about what is still to be earned of a request when ``t`` items are in its list; 0 at the end.

    Every position left pays its discount times the mean true relevance of the ``K`` candidates that are believed most
    relevant, as long as the user of a feed is likely to stay.
    """
    k = config.list_length
    likely = np.argsort(-bank.beliefs.relevance, axis=1, kind="stable")[:, :k]
    level = np.take_along_axis(bank.true_relevance, likely, axis=1).mean(axis=1, dtype=np.float64)
    stay = np.ones_like(level)
    if config.feedback:
        stay -= config.feedback.leave * (1.0 - config.feedback.appeal(level))
    left = np.zeros((len(bank), k + 1))
    discounts = position_discount(np.arange(k)).astype(np.float64)
    for position in range(k - 1, -1, -1):
        left[:, position] = discounts[position] * level + stay * left[:, position + 1]
    return left


class CoachedVecEnv(ListVecEnv):
    """``ListVecEnv`` whose reward is ``r + (1 - hazard) * potential(next) - potential(now)``.

    The potential's telescoping sum shifts every return of a request by the same number (Ng, Harada and Russell, 1999);
    taking the chance of leaving in the place of the draw adds a term of mean zero. So the policy gradient keeps its
    mean and loses variance. ``episode`` in ``infos`` tells the plain return.
    """

    def __init__(self, source: RequestSource | Bank, num_envs: int, config: EnvConfig | None = None) -> None:
        super().__init__(source, num_envs, config)
        self._potential = potential(self._bank, self.config)

    def set_bank(self, source: RequestSource | Bank) -> None:
        super().set_bank(source)
        self._potential = potential(self._bank, self.config)

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        requests, position = self._episodes.requests.copy(), self._episodes.position.copy()
        observation, reward, ended, infos = super().step_wait()
        now, then = self._potential[requests, position], self._potential[requests, position + 1]
        shaped = reward + (1.0 - self.hazard) * then - now
        return observation, shaped.astype(np.float32), ended, infos
