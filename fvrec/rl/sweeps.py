"""Relevance against diversity as a ranker's trade-off is swept, and the area that each sweep covers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fvrec.parallel import Runner
from fvrec.records import CurvePoint, Metric
from fvrec.rerank.pool import Ranker
from fvrec.rl.baselines import BankRanker
from fvrec.rl.compare import SWEPT_WEIGHTS, TRADE_OFFS, at_weights, diversifier, sweep_hypervolumes
from fvrec.rl.requests import Request
from fvrec.rl.reward import RewardConfig
from fvrec.rl.scoring import ListScores, score_lists
from fvrec.rl.serve import PolicyRanker
from fvrec.rl.shards import lists_of
from fvrec.stats import RESAMPLES, Interval

POLICY = "rl"
"""The name of the policy's sweep."""


@dataclass(frozen=True)
class Sweep:
    """One ranker at ``P`` settings (``params``, one each) on the same requests of ``U`` users."""

    name: str
    params: tuple[Mapping[str, Any], ...]
    scores: tuple[ListScores, ...]

    @property
    def ndcg(self) -> NDArray[np.float64]:
        """``[P, U]``."""
        return np.stack([one.ndcg for one in self.scores])

    @property
    def ild(self) -> NDArray[np.float64]:
        """``[P, U]``."""
        return np.stack([one.ild for one in self.scores])

    def curve(self) -> list[CurvePoint]:
        """Mean NDCG (x) and mean ILD (y) at every setting, mean true reward and coverage beside it."""
        points = []
        for params, one in zip(self.params, self.scores, strict=True):
            beside = {name: round(float(getattr(one, name).mean()), 4) for name in ("true_reward", "coverage")}
            place = float(one.ndcg.mean()), float(one.ild.mean())
            points.append(CurvePoint("rl", f"{self.name}_tradeoff", *place, {**params, **beside}))
        return points


def sweep_diversifier(
    name: str, requests: Sequence[Request], k: int, reward: RewardConfig, runner: Runner | None = None
) -> Sweep:
    """MMR, MSD, DPP or SSD from all diversity to all relevance."""
    settings = {trade_off: BankRanker(name, diversifier(name, trade_off)) for trade_off in TRADE_OFFS}
    return _sweep(name, "trade_off", settings, requests, k, reward, runner)


def sweep_policy(
    policy: PolicyRanker, requests: Sequence[Request], k: int, reward: RewardConfig, runner: Runner | None = None
) -> Sweep:
    """One policy as lambda = mu goes from 0 to the end of the trained range."""
    settings = {weight: at_weights(policy, weight) for weight in SWEPT_WEIGHTS}
    return _sweep(policy.name, "weight", settings, requests, k, reward, runner)


def _sweep(
    name: str,
    setting: str,
    rankers: Mapping[float, Ranker],
    requests: Sequence[Request],
    k: int,
    reward: RewardConfig,
    runner: Runner | None,
) -> Sweep:
    made = lists_of(list(rankers.values()), requests, k, runner)
    scores = tuple(score_lists(requests, lists, reward) for lists in made)
    return Sweep(name, tuple({setting: value} for value in rankers), scores)


def hypervolume_draws(
    ndcg: NDArray[np.float64],
    ild: NDArray[np.float64],
    base_ndcg: NDArray[np.float64],
    samples: Sequence[NDArray[np.integer]],
) -> NDArray[np.float64]:
    """``[1 + R]``: a sweep's hypervolume over all users, and over each of ``R`` samples of users with replacement."""
    everybody = np.arange(len(base_ndcg))
    return np.array([sweep_hypervolumes(ndcg, ild, base_ndcg, rows) for rows in (everybody, *samples)])


def hypervolumes(
    sweeps: Sequence[Sweep], base_ndcg: NDArray[np.float64], *, seed: int, resamples: int = RESAMPLES
) -> tuple[dict[str, Interval], dict[str, Interval]]:
    """Of each sweep, and of the first sweep's lead over each other; the same samples of users under all."""
    rng, users = np.random.default_rng(seed), len(base_ndcg)
    samples = [rng.integers(users, size=users) for _ in range(resamples)]
    draws = {one.name: hypervolume_draws(one.ndcg, one.ild, base_ndcg, samples) for one in sweeps}
    first = draws[sweeps[0].name]
    levels = {name: _interval(values, users) for name, values in draws.items()}
    return levels, {name: _interval(first - draws[name], users) for name in levels if name != sweeps[0].name}


def hypervolume_metrics(
    sweeps: Sequence[Sweep], base_ndcg: NDArray[np.float64], common: Mapping[str, Any]
) -> list[Metric]:
    """``hypervolume`` of each sweep, and ``hypervolume_difference`` of the policy, if it comes first, to each other."""
    levels, leads = hypervolumes(sweeps, base_ndcg, seed=common["seed"])
    ours = sweeps[0].name == POLICY
    rows: list[tuple[str, str, Mapping[str, Any], Interval]] = [
        *(("hypervolume", one.name, {"points": len(one.params)}, levels[one.name]) for one in sweeps),
        *(("hypervolume_difference", POLICY, {"against": name}, lead) for name, lead in leads.items() if ours),
    ]
    return [
        Metric(metric=metric, value=found.value, strategy=strategy, params=params, ci_low=found.low,
               ci_high=found.high, n=found.n, **common)
        for metric, strategy, params, found in rows
    ]  # fmt: skip


def _interval(draws: NDArray[np.float64], users: int) -> Interval:
    low, high = np.percentile(draws[1:], [2.5, 97.5])
    return Interval(float(draws[0]), float(low), float(high), users)
