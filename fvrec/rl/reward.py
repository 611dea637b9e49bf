"""The one scorer of a list: the environment's reward and the evaluation's ``true_reward`` are this."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fvrec.errors import FvrecError
from fvrec.rerank.pool import UNKNOWN_CODES
from fvrec.rl.bank import Bank
from fvrec.rl.requests import Request
from fvrec.schema import VALUES

RECENT = 3
"""Boredom is with what is like one of the last so many items shown."""


@dataclass(frozen=True)
class RewardConfig:
    """Weights of a list's reward: ``redundancy`` is the plan's lambda, ``novelty`` its mu; neither is negative.

    What a policy trains and is studied at; the pipeline then gives each policy a weight of its own
    (``fvrec.rl.compare.default_weight``). In five drawn worlds that rule gave the network alone .08, .08, .06, .06 and
    .04 (``docs/results/rl.md``); at .08 they keep 98.5 % of Base's NDCG on test in the mean, 97.8 % in the worst.
    """

    redundancy: float = 0.08
    novelty: float = 0.08

    def __post_init__(self) -> None:
        for name in ("redundancy", "novelty"):
            weight = getattr(self, name)
            if not (np.isfinite(weight) and weight >= 0):
                raise FvrecError("a reward weight is negative or not finite", where=name, found=weight, allowed=">= 0")


@dataclass(frozen=True)
class RewardTerms:
    """The terms of one step, unweighted, one entry for each of ``B`` lists; ``reward`` is their weighted sum."""

    relevance: NDArray[np.float32]
    redundancy: NDArray[np.float32]
    novelty: NDArray[np.float32]
    reward: NDArray[np.float32]


def position_discount(position: ArrayLike) -> NDArray[np.float32]:
    """``1 / log2(position + 2)`` for positions from 0: the discount of DCG (Järvelin and Kekäläinen, 2002).

    >>> position_discount([0, 2]).tolist()
    [1.0, 0.5]
    """
    return (1.0 / np.log2(np.asarray(position, dtype=np.float64) + 2.0)).astype(np.float32)


def attribute_similarity(values: NDArray[np.int16], chosen: NDArray[np.int16]) -> NDArray[np.float32]:
    """Share of equal values among the fields that both items know; 0 when there is none.

    ``values [B, N, 10]`` against ``chosen [B, 10]`` -> ``[B, N]``.
    """
    other = chosen[:, None, :]
    both = (values != UNKNOWN_CODES) & (other != UNKNOWN_CODES)
    equal = (values == other) & both
    return (equal.sum(axis=-1) / np.maximum(1, both.sum(axis=-1))).astype(np.float32)


class ListReward:
    """Running truth of ``B`` lists that are built in step from rows of a bank.

    Step ``t`` (from 0) with item ``i``: ``discount(t) * true_relevance(i) - redundancy_weight * max similarity of true
    attributes to the items chosen before + novelty_weight * (long_tail(i) + new_style(i)) / 2``, where ``new_style`` is
    1 when the item's true style is known and not yet in the list. Each list may start anew alone.
    """

    def __init__(self, bank: Bank, batch: int) -> None:
        self._bank, self._batch = bank, np.arange(batch)
        self._requests = np.zeros(batch, dtype=np.int64)
        self._weights = np.zeros((2, batch), dtype=np.float32)
        self._similarity = np.zeros((batch, bank.pool_size), dtype=np.float32)
        self._shown = np.zeros((batch, len(VALUES["style"])), dtype=np.float32)
        self._recent = np.zeros((RECENT, batch, bank.pool_size), dtype=np.float32)
        self._position = np.zeros(batch, dtype=np.int64)

    def start(
        self,
        which: NDArray[np.integer],
        requests: NDArray[np.integer],
        redundancy: NDArray[np.floating],
        novelty: NDArray[np.floating],
    ) -> None:
        """Empty the lists ``which [b]``; they are now of ``requests [b]``, with lambda and mu ``[b]`` each."""
        self._requests[which], self._position[which] = requests, 0
        self._weights[0, which], self._weights[1, which] = redundancy, novelty
        self._similarity[which], self._recent[:, which], self._shown[which] = 0.0, 0.0, 0.0
        self._shown[which, -1] = 1.0  # an unknown style is never new

    def interest(self, actions: NDArray[np.integer], boredom: float) -> NDArray[np.float32]:
        """``[B]``: true relevance less the boredom with what is like the last items shown."""
        recent = np.maximum.reduce(self._recent[:, self._batch, actions])
        return np.asarray(self._bank.true_relevance[self._requests, actions] - boredom * recent, dtype=np.float32)

    def marginals(self) -> NDArray[np.float32]:
        """``[B, N]``: what each candidate would earn at the next position."""
        bank, rows = self._bank, self._requests
        fresh = 1.0 - np.take_along_axis(self._shown, bank.true_style[rows].astype(np.int64), axis=1)
        novelty = self._weights[1][:, None] * (0.5 * (bank.long_tail[rows] + fresh))
        gain = position_discount(self._position)[:, None] * bank.true_relevance[rows]
        return np.asarray(gain - self._weights[0][:, None] * self._similarity + novelty, dtype=np.float32)

    def append(self, actions: NDArray[np.integer]) -> RewardTerms:
        """Add candidate ``actions [B]`` to the lists and say what each earned."""
        bank, at = self._bank, (self._requests, actions)
        relevance = position_discount(self._position) * bank.true_relevance[at]
        redundancy = self._similarity[self._batch, actions]
        style = bank.true_style[at]
        novelty = (0.5 * (bank.long_tail[at] + (1.0 - self._shown[self._batch, style]))).astype(np.float32)
        reward = relevance - self._weights[0] * redundancy + self._weights[1] * novelty
        likeness = bank.alike[at]
        np.maximum(self._similarity, likeness, out=self._similarity)
        self._recent[:-1] = self._recent[1:]
        self._recent[-1] = likeness
        self._shown[self._batch, style] = 1.0
        self._position += 1
        return RewardTerms(relevance, redundancy, novelty, reward.astype(np.float32))


def list_rewards(bank: Bank, lists: NDArray[np.integer], config: RewardConfig) -> NDArray[np.float64]:
    """``[M]``: total true reward of one finished list ``[M, L]`` of pool indices for each request, best first."""
    rows = np.arange(len(bank))
    running = ListReward(bank, len(bank))
    running.start(rows, rows, np.full(len(rows), config.redundancy), np.full(len(rows), config.novelty))
    earned = [running.append(lists[:, position]).reward for position in range(lists.shape[1])]
    return np.asarray(np.sum(earned, axis=0, dtype=np.float64))


def list_reward(request: Request, ranking: NDArray[np.integer], config: RewardConfig) -> float:
    """Total reward of one finished list of pool indices, best first."""
    return float(list_rewards(Bank.of([request]), np.asarray(ranking)[None, :], config)[0])
