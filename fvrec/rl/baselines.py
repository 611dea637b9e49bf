"""List rankers that a policy must beat, behind the one ``Ranker`` Protocol, with one similarity function.

Each works on ``Beliefs``: those of a plain reading, of a supervised one or of a denoised one (``fvrec.rl.reader``), and
on nothing else. MSD, DPP and SSD are those of the package ``pyversity``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fvrec.rerank.pool import Pool, check_list_length
from fvrec.rl.bank import Bank
from fvrec.rl.reader import Reader
from fvrec.rl.reward import RewardConfig
from fvrec.rl.search import Problem, beam, greedy, swap
from fvrec.rl.serve import bank_of

Lists = Callable[[Bank, int], NDArray[np.int64]]
"""A bank and a length -> lists ``[M, k]``."""
ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class BankRanker:
    """``lists`` as a Ranker; pools are read by ``reader`` (None: taken at their word)."""

    name: str
    lists: Lists
    reader: Reader | None = None

    def rank(self, pool: Pool, k: int) -> NDArray[np.int64]:
        """``[k]`` distinct indices into the pool, best first; FvrecError when ``k`` exceeds the pool."""
        return self.rank_many([pool], k)[0]

    def rank_many(self, pools: Sequence[Pool], k: int) -> NDArray[np.int64]:
        """``[B, k]`` for pools of one size and kind."""
        for pool in pools:
            check_list_length(pool, k)
        return self.lists(bank_of(pools, self.reader), k)


def base_lists(bank: Bank, k: int) -> NDArray[np.int64]:
    """The ``k`` most relevant by the beliefs; ties keep the pool's order."""
    return np.argsort(-bank.beliefs.relevance, axis=1, kind="stable")[:, :k].astype(np.int64)


def mmr_lists(trade_off: float) -> Lists:
    """Maximal marginal relevance (Carbonell & Goldstein, 1998), all pools of a bank at once."""

    def lists(bank: Bank, k: int) -> NDArray[np.int64]:
        return batched_mmr(bank.beliefs.relevance, bank.beliefs.vectors, k, trade_off)

    return lists


def batched_mmr(
    relevance: NDArray[np.float32], vectors: NDArray[np.float32], k: int, trade_off: float
) -> NDArray[np.int64]:
    """``[B, k]``: next is the largest ``trade_off * relevance - (1 - trade_off) * max cosine to the chosen``.

    relevance: ``[B, N]``. vectors: ``[B, N, V]`` of length 1.
    """
    rows = np.arange(len(relevance))
    gain = trade_off * relevance
    nearest = np.zeros_like(gain)
    chosen = np.empty((len(rows), k), dtype=np.int64)
    for position in range(k):
        marginal = gain - (1.0 - trade_off) * nearest
        chosen[:, position] = marginal.argmax(axis=1)
        if position + 1 < k:
            likeness = np.matmul(vectors, vectors[rows, chosen[:, position]][:, :, None])[..., 0]
            np.maximum(nearest, likeness, out=nearest)
            gain[rows, chosen[:, position]] = -np.inf
    return chosen


def pyversity_lists(strategy: str, diversity: float, **settings: Any) -> Lists:
    """``msd``, ``dpp`` or ``ssd`` of the package pyversity, on the beliefs' relevance and vectors."""
    from pyversity import diversify

    def lists(bank: Bank, k: int) -> NDArray[np.int64]:
        beliefs = bank.beliefs
        # A candidate of which nothing is known has a zero vector: a column of its own keeps it apart from all others.
        blank = np.where((beliefs.vectors**2).sum(axis=-1, keepdims=True) > 0, 0.0, 1.0).astype(np.float32)
        vectors = np.concatenate([beliefs.vectors, blank], axis=-1)
        found = [
            diversify(v, r, k, strategy=strategy, diversity=diversity, **settings).indices
            for v, r in zip(vectors, beliefs.relevance, strict=True)
        ]
        return np.stack([_filled(row, r, k) for row, r in zip(found, beliefs.relevance, strict=True)])

    return lists


def _filled(found: NDArray[np.integer], relevance: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """A selection that stopped early is filled up by relevance."""
    kept = list(dict.fromkeys(int(index) for index in found))[:k]
    rest = [int(i) for i in np.argsort(-relevance, kind="stable") if int(i) not in set(kept)]
    return np.array((kept + rest)[:k], dtype=np.int64)


def search_lists(method: str, reward: RewardConfig, *, width: int = 8, sweeps: int = 2) -> Lists:
    """``greedy``, ``swap`` (greedy + exchange) or ``beam`` on expected reward."""

    def lists(bank: Bank, k: int) -> NDArray[np.int64]:
        parts = np.array_split(np.arange(len(bank.beliefs)), max(1, -(-len(bank.beliefs) // ROWS_AT_ONCE)))
        return np.concatenate([one(problem_of(bank, rows, reward), k) for rows in parts])

    def one(problem: Problem, k: int) -> NDArray[np.int64]:
        if method == "beam":
            return beam(problem, k, width=width)
        found = greedy(problem, k)
        return swap(problem, found, sweeps=sweeps) if method == "swap" else found

    return lists


def problem_of(bank: Bank, rows: NDArray[np.integer], reward: RewardConfig) -> Problem:
    """Rows of a bank at one lambda and mu."""
    return Problem.of(bank, rows, np.full(len(rows), reward.redundancy), np.full(len(rows), reward.novelty))
