"""A trained policy at work: as a Ranker of whole lists, and as a feed that listens after each item."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.rerank.pool import Pool, check_list_length
from fvrec.rl.bank import Bank
from fvrec.rl.beliefs import plain_beliefs, stack
from fvrec.rl.episodes import WEIGHT_LIMIT
from fvrec.rl.features import ListFeatures
from fvrec.rl.feedback import FeedbackConfig
from fvrec.rl.policy import PolicyConfig, SetNetwork
from fvrec.rl.reader import Reader
from fvrec.rl.reward import RewardConfig
from fvrec.rl.search import Problem, swap

SWAPS = 2
"""Sweeps of exchange behind a list that is shown to people: without them search on the same beliefs made lists
that are a little better in drawn worlds (``docs/results/rl.md``), and one list at a time takes milliseconds either
way."""


def clamped(weight: float, name: str) -> float:
    """A weight inside the trained range: above ``WEIGHT_LIMIT`` it counts as that; FvrecError below 0 or not finite."""
    if not (math.isfinite(weight) and weight >= 0):
        raise FvrecError("a reward weight is negative or not finite", where=name, found=weight, allowed=">= 0")
    return min(float(weight), WEIGHT_LIMIT)


@dataclass(frozen=True)
class Feeder:
    """A network that was trained for feeds, and what an answer meant to it."""

    network: SetNetwork
    feedback: FeedbackConfig | None


class PolicyRanker:
    """A network as a Ranker: takes the best available candidate, ``k`` times. No randomness.

    redundancy, novelty: lambda and mu, what the list costs in likeness and earns in novelty; above
    ``WEIGHT_LIMIT`` they count as that. With both at 0 the list is the order of relevance. Pools with confidences
    are read by ``reader``;
    others are taken at their word. swaps: sweeps of exchange on expected reward afterwards. feeder: who chooses in a
    feed; None: the same network.
    """

    def __init__(
        self,
        network: SetNetwork,
        *,
        reader: Reader | None = None,
        redundancy: float = RewardConfig.redundancy,
        novelty: float = RewardConfig.novelty,
        swaps: int = 0,
        name: str = "rl",
        feeder: Feeder | None = None,
    ) -> None:
        self.name, self._feeder = name, feeder or Feeder(network, None)
        self.redundancy, self.novelty = clamped(redundancy, "redundancy"), clamped(novelty, "novelty")
        self._network, self._reader, self._swaps = network.eval(), reader, swaps

    @property
    def network(self) -> SetNetwork:
        """What scores the candidates."""
        return self._network

    def at(self, *, redundancy: float | None = None, novelty: float | None = None) -> Self:
        """The same policy at another trade-off; None leaves a weight as it is."""
        return type(self)(
            self._network,
            reader=self._reader,
            redundancy=self.redundancy if redundancy is None else redundancy,
            novelty=self.novelty if novelty is None else novelty,
            swaps=self._swaps,
            name=self.name,
            feeder=self._feeder,
        )

    def feed(self, pool: Pool, k: int) -> Feed:
        """One item at a time, at the same trade-off. FvrecError when ``k`` exceeds the pool."""
        return Feed(
            self._feeder.network,
            pool,
            k,
            reader=self._reader,
            redundancy=self.redundancy,
            novelty=self.novelty,
            feedback=self._feeder.feedback,
        )

    def rank(self, pool: Pool, k: int) -> NDArray[np.int64]:
        """``k`` distinct indices into the pool, in the order of the list. FvrecError when ``k`` exceeds the pool."""
        return self.rank_many([pool], k)[0]

    def rank_many(self, pools: Sequence[Pool], k: int) -> NDArray[np.int64]:
        """``[B, k]``: lists of pools of one size and kind, made together."""
        for pool in pools:
            check_list_length(pool, k)
        return self.rank_bank(bank_of(pools, self._reader), k)

    @torch.no_grad()
    def rank_bank(self, bank: Bank, k: int) -> NDArray[np.int64]:
        """``[M, k]``: a list for each row of a bank that was read already."""
        rows = np.arange(len(bank.beliefs))
        weights = np.full(len(rows), self.redundancy), np.full(len(rows), self.novelty)
        features = ListFeatures(bank, len(rows), k)
        features.start(rows, rows, *weights)
        chosen = np.empty((len(rows), k), dtype=np.int64)
        for position in range(k):
            chosen[:, position] = best_of(self._network, features)
            features.append(chosen[:, position])
        return swap(Problem.of(bank, rows, *weights), chosen, sweeps=self._swaps) if self._swaps else chosen


class Feed:
    """One list that is shown item by item: ``next`` says what to show, ``heard`` what the user did with it.

    feedback: what the answers mean (a click: 0 or 1; dwell: about 0 to 1). At most ``k`` items. FvrecError when ``k``
    exceeds the pool, and when ``next`` and ``heard`` do not take turns.
    """

    def __init__(
        self,
        network: SetNetwork,
        pool: Pool,
        k: int,
        *,
        reader: Reader | None = None,
        redundancy: float = RewardConfig.redundancy,
        novelty: float = RewardConfig.novelty,
        feedback: FeedbackConfig | None = None,
    ) -> None:
        check_list_length(pool, k)
        self._network, self._k = network.eval(), k
        self._features = ListFeatures(bank_of([pool], reader), 1, k, feedback or FeedbackConfig())
        weights = np.array([clamped(redundancy, "redundancy")]), np.array([clamped(novelty, "novelty")])
        self._features.start(np.array([0]), np.array([0]), *weights)
        self._shown: int | None = None

    @property
    def relevance(self) -> NDArray[np.float32]:
        """``[N]``: what is believed of each candidate by now."""
        posterior = self._features.posterior
        assert posterior is not None
        return posterior.mean[0].copy()

    def next(self) -> int:
        """Index into the pool of the item to show now."""
        if self._features.position[0] >= self._k:
            raise FvrecError("the feed has shown all its items", found=self._k)
        if self._shown is None:
            with torch.no_grad():
                self._shown = int(best_of(self._network, self._features)[0])
        return self._shown

    def heard(self, answer: float, row: int | None = None) -> None:
        """The user's answer to the item that ``next`` gave last, or to ``row`` where something else was shown."""
        shown = self._shown if row is None else row
        if shown is None:
            raise FvrecError("nothing was shown that could be answered: call next first")
        if not math.isfinite(answer):
            raise FvrecError("an answer is not finite", found=answer)
        self._features.append(np.array([shown]), np.array([answer], dtype=np.float32))
        self._shown = None


def best_of(network: SetNetwork, features: ListFeatures) -> NDArray[np.int64]:
    """``[B]``: the available candidate with the largest gain by the policy."""
    gains = network.gains(torch.from_numpy(features.observe()))
    return gains.masked_fill(~torch.from_numpy(features.available), -torch.inf).argmax(dim=-1).numpy()


def bank_of(pools: Sequence[Pool], reader: Reader | None) -> Bank:
    """Pools without a truth, as a bank to serve from."""
    readings = stack(pools)
    return Bank((), readings, reader.believe(readings) if reader else plain_beliefs(readings))


def greedy_ranker(reward: RewardConfig, reader: Reader | None = None) -> PolicyRanker:
    """The network before any training: the largest believed marginal gain, item by item.

    The gain is the reward's own formula with what a ranker believes in the place of the truth. What training adds is
    measured against this.
    """
    # Its random layers end in zeros and move no gain: they must not move the caller's random stream either.
    with torch.random.fork_rng(devices=[]):
        network = SetNetwork(PolicyConfig())
    return PolicyRanker(network, reader=reader, redundancy=reward.redundancy, novelty=reward.novelty, name="greedy")
