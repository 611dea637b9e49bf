"""Rankers of a feed that need no training: they listen, update the posterior, and search again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fvrec.rl.bank import Bank
from fvrec.rl.features import ListFeatures
from fvrec.rl.playing import Chooser
from fvrec.rl.reward import RewardConfig
from fvrec.rl.search import Problem, greedy, swap

Feeder = Callable[[NDArray[np.int64]], Chooser]
"""Rows of a bank -> a chooser for them (``fvrec.rl.playing.play``)."""


@dataclass(frozen=True)
class Searching:
    """The next item of the best list by search.

    listen: search on the posterior's mean after each answer; else on what was believed at the start. sweeps: exchange
    after the greedy list; with 0, listening, this is the adaptive greedy.
    """

    bank: Bank
    reward: RewardConfig
    k: int
    listen: bool = True
    sweeps: int = 0
    shortlist: int = 30

    def __call__(self, rows: NDArray[np.int64]) -> Chooser:
        count = len(rows)
        weights = np.full(count, self.reward.redundancy), np.full(count, self.reward.novelty)
        return self.on(Problem.of(self.bank, rows, *weights))

    def on(self, start: Problem) -> Chooser:
        """A chooser for pools as they are believed to be at the start, each with a lambda and a mu of its own."""
        planned: list[NDArray[np.int64]] = []

        def choose(features: ListFeatures, lists: NDArray[np.int64]) -> NDArray[np.int64]:
            done = lists.shape[1]
            if self.listen or not planned:
                posterior = features.posterior
                now = start if posterior is None or not self.listen else replace(start, relevance=posterior.mean)
                planned[:] = [self._plan(now, lists)]
            return planned[0][:, done]

        return choose

    def _plan(self, problem: Problem, lists: NDArray[np.int64]) -> NDArray[np.int64]:
        plan = greedy(problem, self.k, lists)
        if not self.sweeps:
            return plan
        return swap(problem, plan, sweeps=self.sweeps, start=lists.shape[1], shortlist=self.shortlist)


def open_loop(bank: Bank, reward: RewardConfig, k: int) -> Searching:
    """Greedy + exchange once, deaf to what follows."""
    return Searching(bank, reward, k, listen=False, sweeps=2)


def adaptive_greedy(bank: Bank, reward: RewardConfig, k: int) -> Searching:
    """The largest marginal gain under the posterior."""
    return Searching(bank, reward, k)


def replanning(bank: Bank, reward: RewardConfig, k: int) -> Searching:
    """Greedy + exchange over all that is left, under the posterior, after each answer."""
    return Searching(bank, reward, k, sweeps=1, shortlist=20)
