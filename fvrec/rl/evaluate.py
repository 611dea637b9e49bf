"""Evaluation of list rankers on users and items they never saw, all given the same pools, judged by the truth."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.records import CurvePoint, Metric, Ranking
from fvrec.rerank.diversify import BaseRank, Mmr
from fvrec.rerank.metrics import coverage, ild, ndcg
from fvrec.rerank.pool import Pool, Ranker, check_list_length
from fvrec.rl.requests import Request
from fvrec.rl.reward import RewardConfig, list_reward
from fvrec.stats import Interval, bootstrap_mean, paired_difference

MMR_TRADE_OFFS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
RANKINGS_KEPT = 10


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


@dataclass(frozen=True)
class RlEvaluation:
    """What a report of the stage needs: numbers, curves, and some users' lists."""

    metrics: tuple[Metric, ...]
    curves: tuple[CurvePoint, ...]
    rankings: tuple[Ranking, ...]

    def metric(self, name: str, strategy: str, **params: Any) -> Metric:
        """The metric of that name and strategy whose params include those given; FvrecError when there is none."""
        for metric in self.metrics:
            if (metric.metric, metric.strategy) == (name, strategy) and params.items() <= dict(metric.params).items():
                return metric
        raise FvrecError("no such metric in this evaluation", found=(name, strategy, params))


def evaluate(
    requests: Sequence[Request],
    *,
    policy: Ranker,
    mmr: Mmr,
    k: int,
    reward: RewardConfig,
    seed: int,
    source: str = "",
    preset: str = "",
) -> RlEvaluation:
    """Rank every request by Base, MMR, the policy and at random, and judge the lists by what is true.

    Metrics (95 % intervals over users): true_reward, ndcg, ild, coverage at ``k`` for each strategy, and the paired
    differences ``<metric>_difference`` of the policy against each other strategy (``params: {"against": …}``).
    Curve ``mmr_tradeoff``: NDCG (x) and ILD (y) of MMR over its trade-off, with true_reward among the params.
    """
    if not requests:
        raise FvrecError("there are no requests to evaluate on")
    rankers: list[Ranker] = [BaseRank(), mmr, policy, RandomRank(seed)]
    lists = {ranker.name: rank_all(ranker, requests, k) for ranker in rankers}
    scores = {name: score_lists(requests, chosen, reward) for name, chosen in lists.items()}
    common = {"stage": "rl", "source": source, "split": "test", "preset": preset, "seed": seed, "k": k}
    metrics = _levels(scores, common, mmr) + _differences(scores, policy.name, common)
    rankings = [row for name, chosen in lists.items() for row in _as_rankings(requests, chosen, name)]
    return RlEvaluation(tuple(metrics), tuple(mmr_curve(requests, k, reward)), tuple(rankings))


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


def tune_mmr(requests: Sequence[Request], k: int, reward: RewardConfig) -> Mmr:
    """The trade-off with the largest mean true reward on ``requests``, which must not be those of the test."""

    def earned(trade_off: float) -> float:
        lists = rank_all(Mmr(trade_off), requests, k)
        return float(score_lists(requests, lists, reward).true_reward.mean())

    return Mmr(max(MMR_TRADE_OFFS, key=earned))


def mmr_curve(requests: Sequence[Request], k: int, reward: RewardConfig) -> list[CurvePoint]:
    """Relevance against diversity as MMR's trade-off goes from all diversity to all relevance."""
    points = []
    for trade_off in MMR_TRADE_OFFS:
        scores = score_lists(requests, rank_all(Mmr(trade_off), requests, k), reward)
        params = {
            "trade_off": trade_off,
            "true_reward": float(scores.true_reward.mean()),
            "coverage": float(scores.coverage.mean()),
        }
        points.append(CurvePoint("rl", "mmr_tradeoff", float(scores.ndcg.mean()), float(scores.ild.mean()), params))
    return points


def _levels(scores: Mapping[str, ListScores], common: Mapping[str, Any], mmr: Mmr) -> list[Metric]:
    return [
        _metric(part.name, bootstrap_mean(getattr(judged, part.name), seed=common["seed"]), common, strategy, params)
        for strategy, judged in scores.items()
        for params in [{"trade_off": mmr.trade_off} if strategy == mmr.name else {}]
        for part in fields(ListScores)
    ]


def _differences(scores: Mapping[str, ListScores], strategy: str, common: Mapping[str, Any]) -> list[Metric]:
    metrics = []
    for other in (name for name in scores if name != strategy):
        for part in fields(ListScores):
            ours, theirs = getattr(scores[strategy], part.name), getattr(scores[other], part.name)
            gain = paired_difference(ours, theirs, seed=common["seed"])
            metrics.append(_metric(f"{part.name}_difference", gain, common, strategy, {"against": other}))
    return metrics


def _metric(
    name: str, interval: Interval, common: Mapping[str, Any], strategy: str, params: Mapping[str, Any]
) -> Metric:
    return Metric(
        metric=name,
        value=interval.value,
        ci_low=interval.low,
        ci_high=interval.high,
        n=interval.n,
        strategy=strategy,
        params=params,
        **common,
    )


def _as_rankings(requests: Sequence[Request], lists: Sequence[NDArray[np.int64]], strategy: str) -> list[Ranking]:
    return [
        Ranking(
            query_id=request.user_id,
            strategy=strategy,
            position=position,
            item_id=request.pool.item_ids[index],
            score=float(request.pool.relevance[index]),
        )
        for request, chosen in list(zip(requests, lists, strict=True))[:RANKINGS_KEPT]
        for position, index in enumerate(chosen)
    ]
