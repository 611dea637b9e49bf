"""Evaluation of list rankers on users and items they never saw, all given the same pools, judged by the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fvrec.config import RlBudget
from fvrec.errors import FvrecError
from fvrec.parallel import Runner
from fvrec.records import CurvePoint, Metric, Ranking
from fvrec.rerank.diversify import BaseRank, Mmr
from fvrec.rerank.pool import Ranker
from fvrec.rl.bank import Bank
from fvrec.rl.baselines import BankRanker, search_lists
from fvrec.rl.compare import DIVERSIFIERS, NDCG_KEPT, TRADE_OFFS, default_weight, diversifier
from fvrec.rl.items import ItemTable
from fvrec.rl.reader import Reader
from fvrec.rl.requests import Request, RequestSampler
from fvrec.rl.reward import RewardConfig
from fvrec.rl.scoring import ListScores, RandomRank, score_lists
from fvrec.rl.serve import SWAPS, PolicyRanker, greedy_ranker
from fvrec.rl.shards import best_lists, fed, lists_of, tuned
from fvrec.rl.sweeps import hypervolume_metrics, sweep_diversifier, sweep_policy
from fvrec.rl.train import TrainedPolicy, training_split
from fvrec.rl.users import Population, sample_population
from fvrec.stats import Interval, bootstrap_mean, bootstrap_ratio, holm, paired_difference, paired_p_value

RANKINGS_KEPT = 10
_OWN_CROWD = 3
"""Times ``budget.test_users``: so many users choose the weight."""
_OWN_SEED = 104_729
"""Added to the seed: those users are none of training's and tuning's."""


@dataclass(frozen=True)
class RlEvaluation:
    """What a report of the stage needs: numbers, curves, some users' lists, and who the users were."""

    metrics: tuple[Metric, ...]
    curves: tuple[CurvePoint, ...]
    rankings: tuple[Ranking, ...]
    population: Population = field(default_factory=lambda: Population((), ()))

    def metric(self, name: str, strategy: str, **params: Any) -> Metric:
        """The metric of that name and strategy whose params include those given; FvrecError when there is none."""
        for metric in self.metrics:
            if (metric.metric, metric.strategy) == (name, strategy) and params.items() <= dict(metric.params).items():
                return metric
        raise FvrecError("no such metric in this evaluation", found=(name, strategy, params))


def evaluate_policy(
    trained: TrainedPolicy,
    *,
    val_items: ItemTable,
    test_items: ItemTable,
    budget: RlBudget,
    source: str = "",
    preset: str = "",
    runner: Runner | None = None,
) -> RlEvaluation:
    """The stage's evaluation: MMR is tuned on fresh users over ``val_items``, all are judged on ``test_items``.

    All true rewards are judged at the policy's own lambda = mu, so that they compare within one evaluation alone.
    ``budget.test_users`` users each time, one request each, none of them seen in training. Pools shrink to the number
    of items when there are fewer; FvrecError when that is less than a list. ``runner``: makes the lists.
    """
    seed, k, reward = trained.seed, trained.env.list_length, trained.env.reward
    tuning = _tuning(trained, val_items, budget)
    population = sample_population(test_items, n=budget.test_users, split="test", seed=seed, source=source)
    requests = _requests(test_items, population, budget, seed)
    evaluation = evaluate(
        requests,
        others=_others(trained, tuning, runner),
        policy=trained.ranker(),
        mmr=tune_mmr(tuning, k, reward, runner),
        reader=trained.reader,
        k=k,
        reward=reward,
        seed=seed,
        source=source,
        preset=preset,
        runner=runner,
    )
    common: dict[str, Any] = {"stage": "rl", "source": source, "split": "test", "preset": preset, "seed": seed, "k": k}
    metrics = evaluation.metrics
    if trained.feed is not None:
        metrics += tuple(evaluate_feed(trained.feed, requests, {**common, "mode": "feed"}, runner))
    return replace(evaluation, metrics=metrics, population=population)


@dataclass(frozen=True)
class OwnWeight:
    """The lambda = mu that a policy is shown at, and the share of Base's NDCG that its lists keep there on val.

    ``kept`` is below ``NDCG_KEPT`` where no weight tried keeps that much: then the weight is the smallest tried.
    """

    weight: float
    kept: float

    def metrics(self, trained: TrainedPolicy, *, source: str = "", preset: str = "") -> tuple[Metric, Metric]:
        """``own_weight`` and ``own_weight_ndcg_kept`` (``params: {"asked": NDCG_KEPT}``), for the warehouse."""
        common: dict[str, Any] = {
            "stage": "rl", "source": source, "split": "val", "preset": preset, "seed": trained.seed,
            "k": trained.env.list_length, "strategy": "rl_swap",
        }  # fmt: skip
        return (
            Metric(metric="own_weight", value=self.weight, **common),
            Metric(metric="own_weight_ndcg_kept", value=self.kept, params={"asked": NDCG_KEPT}, **common),
        )


def choose_own_weight(trained: TrainedPolicy, val_items: ItemTable, budget: RlBudget) -> OwnWeight:
    """The rule of ``default_weight`` for a policy's lists as they are shown, with the exchange behind it.

    On the val items that training only chose the checkpoint by, and users of their own: on those that reader and
    policy were fitted on, lists keep more NDCG than they will elsewhere.
    """
    _, held = training_split(val_items, budget, seed=trained.seed)
    seed = trained.seed + _OWN_SEED
    users = sample_population(held, n=_OWN_CROWD * budget.test_users, split="val", seed=seed)
    requests = _requests(held, users, budget, seed)
    read, plain = Bank.of(requests, trained.reader), Bank.of(requests)
    shown, k = trained.ranker(swaps=SWAPS), trained.env.list_length
    weight, kept = default_weight(shown, requests, read, plain, k)
    return OwnWeight(weight, kept[weight])


def evaluate_feed(
    trained: TrainedPolicy, requests: Sequence[Request], common: Mapping[str, Any], runner: Runner | None = None
) -> list[Metric]:
    """The policy for feeds against feeds that search on the same posterior: true reward until the user leaves.

    Every feed meets the same luck, ``FEED_REPEATS`` times over.
    """
    earned = fed(trained, requests, runner)
    levels = [
        _metric("true_reward", bootstrap_mean(values, seed=common["seed"]), common, name, {})
        for name, values in earned.items()
    ]
    gains = [
        _metric(
            "true_reward_difference",
            paired_difference(earned["rl"], earned[name], seed=common["seed"]),
            common,
            "rl",
            {"against": name},
        )
        for name in ("adaptive_greedy", "replanning")
    ]
    return levels + gains


def evaluate(
    requests: Sequence[Request],
    *,
    policy: Ranker,
    mmr: Mmr,
    others: Sequence[Ranker] = (),
    reader: Reader | None = None,
    k: int,
    reward: RewardConfig,
    seed: int,
    source: str = "",
    preset: str = "",
    runner: Runner | None = None,
) -> RlEvaluation:
    """Rank every request by Base, MMR, greedily, by the policy, by ``others`` and at random; judge by what is true.

    ``greedy`` is what the policy was before training (``greedy_ranker``, with the policy's own reader): the difference
    against it is what warm start and PPO added.

    Metrics (95 % intervals over users): true_reward, ndcg, ild, coverage at ``k`` for each strategy, and the paired
    differences ``<metric>_difference`` of the policy against each other strategy (``params: {"against": …}``).
    ``true_reward_p_holm`` are the differences' p-values, corrected for their number. ``oracle`` searches with the truth
    in hand, where pools are of one size; ``of_oracle`` is a strategy's mean true reward over the oracle's.
    Curves ``mmr_tradeoff`` and those of the other diversifiers: NDCG (x) and ILD (y) over the trade-off, with
    true_reward among the params; ``rl_tradeoff``, and ``rl_swap_tradeoff`` where it is among ``others``: the same over
    lambda = mu. ``hypervolume``: what each curve covers above Base's NDCG - .1 and ILD 0, and
    ``hypervolume_difference`` the policy's lead over each.
    """
    if not requests:
        raise FvrecError("there are no requests to evaluate on")
    rankers: list[Ranker] = [BaseRank(), mmr, greedy_ranker(reward, reader), *others, policy, RandomRank(seed)]
    made = lists_of(rankers, requests, k, runner)
    lists = {ranker.name: chosen for ranker, chosen in zip(rankers, made, strict=True)}
    best = best_lists(requests, k, reward, runner)
    if best is not None:
        lists["oracle"] = best
    scores = {name: score_lists(requests, chosen, reward) for name, chosen in lists.items()}
    common = {"stage": "rl", "source": source, "split": "test", "preset": preset, "seed": seed, "k": k}
    metrics = _levels(scores, common, mmr) + _differences(scores, policy.name, common)
    rankings = [row for name, chosen in lists.items() for row in _as_rankings(requests, chosen, name)]
    policies = [one for one in (policy, *others) if isinstance(one, PolicyRanker)]
    sweeps = [sweep_policy(one, requests, k, reward, runner) for one in policies]
    sweeps += [sweep_diversifier(name, requests, k, reward, runner) for name in DIVERSIFIERS]
    metrics += hypervolume_metrics(sweeps, scores["base_rank"].ndcg, common)
    curves = [point for sweep in sweeps for point in sweep.curve()]
    return RlEvaluation(tuple(metrics), tuple(curves), tuple(rankings))


def tune_mmr(requests: Sequence[Request], k: int, reward: RewardConfig, runner: Runner | None = None) -> Mmr:
    """The trade-off with the largest mean true reward on ``requests``, which must not be those of the test."""
    made = lists_of([Mmr(trade_off) for trade_off in TRADE_OFFS], requests, k, runner)
    earned = [float(score_lists(requests, lists, reward).true_reward.mean()) for lists in made]
    return Mmr(TRADE_OFFS[earned.index(max(earned))])


def _others(trained: TrainedPolicy, tuning: Sequence[Request], runner: Runner | None) -> list[Ranker]:
    """The package's diversifiers as tuned, search on the reader's beliefs, and the policy with exchange."""
    k, reward = trained.env.list_length, trained.env.reward
    diversifiers: list[Ranker] = [
        BankRanker(name, diversifier(name, trade_off))
        for name, trade_off in tuned(tuning, k, reward, runner).items()
        if name != "mmr"
    ]
    searches: list[Ranker] = [
        BankRanker(f"denoised_{method}", search_lists(method, reward), trained.reader) for method in ("beam", "swap")
    ]
    return [*diversifiers, *searches, trained.ranker(swaps=SWAPS, name="rl_swap")]


def _tuning(trained: TrainedPolicy, val_items: ItemTable, budget: RlBudget) -> list[Request]:
    users = sample_population(val_items, n=budget.test_users, split="val", seed=trained.seed)
    return _requests(val_items, users, budget, trained.seed)


def _requests(items: ItemTable, population: Population, budget: RlBudget, seed: int) -> list[Request]:
    pool_size = min(budget.pool_size, len(items))
    return RequestSampler(items, population.users, pool_size, population.interactions).of_every_user(seed=seed)


def _levels(scores: Mapping[str, ListScores], common: Mapping[str, Any], mmr: Mmr) -> list[Metric]:
    levels = [
        _metric(part.name, bootstrap_mean(getattr(judged, part.name), seed=common["seed"]), common, strategy, params)
        for strategy, judged in scores.items()
        for params in [{"trade_off": mmr.trade_off} if strategy == mmr.name else {}]
        for part in fields(ListScores)
    ]
    best = scores.get("oracle")
    if best is None:
        return levels
    return levels + [
        _metric(
            "of_oracle", bootstrap_ratio(one.true_reward, best.true_reward, seed=common["seed"]), common, strategy, {}
        )
        for strategy, one in scores.items()
        if strategy != "oracle"
    ]


def _differences(scores: Mapping[str, ListScores], strategy: str, common: Mapping[str, Any]) -> list[Metric]:
    metrics = []
    rewards = {name: scores[strategy].true_reward - judged.true_reward for name, judged in scores.items()}
    p = {name: paired_p_value(gain) for name, gain in rewards.items() if name not in (strategy, "oracle")}
    for other, value in holm(p).items():
        params = {"against": other}
        metrics.append(Metric(metric="true_reward_p_holm", value=value, strategy=strategy, params=params, **common))
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
        for position, index in enumerate(chosen, start=1)
    ]
