"""Judging finished lists by the truth: what the environment would have paid, and the plan's list metrics."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fvrec.rerank.metrics import coverage, ild, ndcg
from fvrec.rerank.pool import Pool, Ranker, check_list_length
from fvrec.rl.bank import Bank
from fvrec.rl.requests import Request
from fvrec.rl.reward import RewardConfig, list_reward, list_rewards

AT_ONCE = 64


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
    together = getattr(ranker, "rank_many", None)
    if together is None or not alike(requests):
        return [ranker.rank(request.pool, k) for request in requests]
    parts = [requests[start : start + AT_ONCE] for start in range(0, len(requests), AT_ONCE)]
    return [order for part in parts for order in together([request.pool for request in part], k)]


def alike(requests: Sequence[Request]) -> bool:
    """Whether the pools are of one size and kind, so that they can be ranked together."""
    return len({(len(request.pool), request.pool.confidence is None) for request in requests}) == 1


def score_lists(requests: Sequence[Request], lists: Sequence[NDArray[np.int64]], reward: RewardConfig) -> ListScores:
    """Judge one list per request."""
    pairs = list(zip(requests, lists, strict=True))
    return ListScores(
        true_reward=_rewards(requests, lists, reward),
        ndcg=np.array([ndcg(r.true_relevance[order], r.true_relevance, len(order)) for r, order in pairs]),
        ild=np.array([ild(r.pool.embeddings[order], len(order)) for r, order in pairs]),
        coverage=np.array([coverage(r.true_values[order], len(order), r.true_values) for r, order in pairs]),
    )


def _rewards(
    requests: Sequence[Request], lists: Sequence[NDArray[np.int64]], reward: RewardConfig
) -> NDArray[np.float64]:
    """All together where the lists and the pools are of one size each."""
    shapes = {(len(request.pool), len(order)) for request, order in zip(requests, lists, strict=True)}
    if len(shapes) != 1:
        return np.array([list_reward(r, order, reward) for r, order in zip(requests, lists, strict=True)])
    return list_rewards(Bank.of(requests), np.stack(lists), reward)
