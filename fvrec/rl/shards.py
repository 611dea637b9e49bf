"""The work of an evaluation in shards: some users' lists by every ranker, a diversifier's tuning, a feed's play.

Workers choose; who pays and scores is the caller, so that no sum is taken in another order than at home.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fvrec.parallel import Runner, cut, each
from fvrec.rerank.pool import Ranker
from fvrec.rl.bank import Bank
from fvrec.rl.compare import DIVERSIFIERS, best_trade_off
from fvrec.rl.feeds import adaptive_greedy, replanning
from fvrec.rl.oracle import best_by_search, truth_of
from fvrec.rl.playing import by_network, play
from fvrec.rl.requests import Request
from fvrec.rl.reward import RewardConfig
from fvrec.rl.scoring import AT_ONCE, alike, rank_all
from fvrec.rl.train import TrainedPolicy

FEED_REPEATS = 3
FEEDERS = ("rl", "adaptive_greedy", "replanning")

Lists = list[NDArray[np.int64]]


@dataclass(frozen=True)
class _Listing:
    rankers: Sequence[Ranker]
    requests: Sequence[Request]
    k: int


def lists_of(rankers: Sequence[Ranker], requests: Sequence[Request], k: int, runner: Runner | None) -> list[Lists]:
    """For each ranker its list for each request. A shard holds whole batches of ``rank_all``."""
    if runner is None:
        return [rank_all(ranker, requests, k) for ranker in rankers]
    # Pools of several sizes are ranked one by one, and a piece of them may happen to be of one size.
    pieces = cut(requests, least=AT_ONCE, most=64 * AT_ONCE) if alike(requests) else [requests]
    made = each(runner, _list, [_Listing(rankers, piece, k) for piece in pieces])
    return [[chosen for part in made for chosen in part[number]] for number in range(len(rankers))]


def _list(work: _Listing) -> list[Lists]:
    return [rank_all(ranker, work.requests, work.k) for ranker in work.rankers]


@dataclass(frozen=True)
class _Best:
    requests: Sequence[Request]
    k: int
    reward: RewardConfig


def best_lists(requests: Sequence[Request], k: int, reward: RewardConfig, runner: Runner | None = None) -> Lists | None:
    """What a ranker that knows the truth would list; None where pools differ in size."""
    return each(runner, _best, [_Best(requests, k, reward)])[0] if alike(requests) else None


def _best(work: _Best) -> Lists:
    bank = Bank.of(work.requests)
    return list(best_by_search(truth_of(bank, np.arange(len(bank)), work.reward), work.k))


@dataclass(frozen=True)
class _Tuning:
    requests: Sequence[Request]
    name: str
    k: int
    reward: RewardConfig


def tuned(requests: Sequence[Request], k: int, reward: RewardConfig, runner: Runner | None = None) -> dict[str, float]:
    """``compare.tuned`` on these requests, a diversifier a shard."""
    work = [_Tuning(requests, name, k, reward) for name in DIVERSIFIERS]
    return dict(zip(DIVERSIFIERS, each(runner, _tune, work), strict=True))


def _tune(work: _Tuning) -> float:
    return best_trade_off(Bank.of(work.requests), work.name, work.k, work.reward)


@dataclass(frozen=True)
class _Feed:
    trained: TrainedPolicy
    requests: Sequence[Request]
    name: str


def fed(trained: TrainedPolicy, requests: Sequence[Request], runner: Runner | None = None) -> dict[str, NDArray]:
    """Each feed's true reward a request ``[M]``, the mean over ``FEED_REPEATS`` times the same luck for all."""
    bare = replace(trained, learning_curve=(), diagnostics=(), feed=None)
    work = [_Feed(bare, requests, name) for name in FEEDERS]
    return dict(zip(FEEDERS, each(runner, _play, work), strict=True))


def _play(work: _Feed) -> NDArray:
    trained, reward, k = work.trained, work.trained.env.reward, work.trained.env.list_length
    bank, env = Bank.of(work.requests, trained.reader), replace(trained.env, vary=False)
    if work.name == "rl":
        feeder = by_network(trained.network)
    else:
        feeder = {"adaptive_greedy": adaptive_greedy, "replanning": replanning}[work.name](bank, reward, k)
    rewards = [play(bank, env, feeder, seed=repeat).reward for repeat in range(FEED_REPEATS)]
    mean: NDArray = np.mean(rewards, axis=0)
    return mean
