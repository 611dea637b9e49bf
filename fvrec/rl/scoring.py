"""Judging finished lists by the truth: what the environment would have paid, and the plan's list metrics."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fvrec.rerank.metrics import coverage, ild, ndcg
from fvrec.rerank.pool import Pool, Ranker, check_list_length
from fvrec.rl.requests import Request
from fvrec.rl.reward import RewardConfig, list_reward


@dataclass(frozen=True)
class RandomRank:
    """``k`` candidates in random order, the floor of every comparison: the same pool and seed give the same list."""

    seed: int = 0
    name: str = field(default="random", init=False)

    def rank(self, pool: Pool, k: int) -> NDArray[np.int64]:
        check_list_length(pool, k)
        pool_key = zlib.crc32("\n".join(pool.item_ids).encode())
        return np.random.default_rng([self.seed, pool_key]).permutation(len(pool))[:k].astype(np.int64)


@dataclass(frozen=True)
class ListScores:
    """One ranker's lists on ``U`` requests: each array is ``[U]``, in the order of the requests.

    true_reward: what the environment would have paid. ndcg: true relevance as gain. ild: on embeddings, which the
    reward does not use. coverage: of true attribute values.
    """

    true_reward: NDArray[np.float64]
    ndcg: NDArray[np.float64]
    ild: NDArray[np.float64]
    coverage: NDArray[np.float64]


def rank_all(ranker: Ranker, requests: Sequence[Request], k: int) -> list[NDArray[np.int64]]:
    """The ranker's list for each request; it is handed the pool and nothing else."""
    return [ranker.rank(request.pool, k) for request in requests]


def score_lists(requests: Sequence[Request], lists: Sequence[NDArray[np.int64]], reward: RewardConfig) -> ListScores:
    """Judge one list per request."""
    pairs = list(zip(requests, lists, strict=True))
    return ListScores(
        true_reward=np.array([list_reward(r, order, reward) for r, order in pairs]),
        ndcg=np.array([ndcg(r.true_relevance[order], r.true_relevance, len(order)) for r, order in pairs]),
        ild=np.array([ild(r.pool.embeddings[order], len(order)) for r, order in pairs]),
        coverage=np.array([coverage(r.true_values[order], len(order), r.true_values) for r, order in pairs]),
    )
