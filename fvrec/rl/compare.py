"""The line-up of a comparison: baselines tuned on val, the trained networks, the best known; and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.rl.bank import Bank
from fvrec.rl.baselines import BankRanker, Lists, base_lists, mmr_lists, pyversity_lists, search_lists
from fvrec.rl.features import ListFeatures
from fvrec.rl.reader import Reader
from fvrec.rl.requests import Request
from fvrec.rl.reward import RewardConfig, list_rewards
from fvrec.rl.scoring import ListScores, score_lists
from fvrec.rl.search import Problem
from fvrec.rl.serve import SWAPS, PolicyRanker
from fvrec.rl.train import TrainedPolicy

DIVERSIFIERS = ("mmr", "msd", "dpp", "ssd")
TRADE_OFFS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
"""Of the four diversifiers, 1 for all relevance; the policy is swept over as many points."""
SWEPT_WEIGHTS = (0.0, 0.01, 0.03, 0.08, 0.12, 0.17, 0.23, 0.3, 0.45, 0.6)
"""Lambda = mu."""
WEIGHTS_TRIED = (0.01, 0.02, 0.03, 0.04, 0.06, 0.08)
"""Lambda = mu, of which one becomes a policy's own."""
NDCG_KEPT = 0.99
"""Share of Base's NDCG that a policy must keep on val at its own lambda = mu; on test it may lose .02."""
HYPERVOLUME_BELOW = 0.1
"""The reference point lies so far below Base's NDCG, at ILD 0."""


def diversifier(name: str, trade_off: float) -> Lists:
    """MMR, or one of pyversity's, at a trade-off from 0 (all diversity) to 1 (all relevance)."""
    return mmr_lists(trade_off) if name == "mmr" else pyversity_lists(name, 1.0 - trade_off)


def tuned(bank: Bank, k: int, reward: RewardConfig) -> dict[str, float]:
    """The trade-off of each diversifier with the largest mean true reward on ``bank``, which is not the test's."""
    return {name: best_trade_off(bank, name, k, reward) for name in DIVERSIFIERS}


def best_trade_off(bank: Bank, name: str, k: int, reward: RewardConfig) -> float:
    """That of one diversifier."""
    return max(TRADE_OFFS, key=lambda t: list_rewards(bank, diversifier(name, t)(bank, k), reward).mean())


def line_up(
    trade_offs: Mapping[str, float], reward: RewardConfig, *, supervised: Reader | None, reader: Reader | None
) -> list[BankRanker]:
    """Every ranker that needs no network of the policy's kind."""
    rankers = [BankRanker("base_rank", base_lists)]
    rankers += [BankRanker(name, diversifier(name, trade_off)) for name, trade_off in trade_offs.items()]
    rankers += [BankRanker("greedy", search_lists("greedy", reward))]
    rankers += [BankRanker("supervised_greedy", search_lists("greedy", reward), supervised)]
    for method in ("greedy", "beam", "swap"):
        rankers.append(BankRanker(f"denoised_{method}", search_lists(method, reward), reader))
    return rankers


def networks(trained: TrainedPolicy, starts: Mapping[str, TrainedPolicy]) -> list[PolicyRanker]:
    """The policy, alone and with exchange, and what it was before reinforcement."""
    found = [start.ranker(name=name) for name, start in starts.items()]
    return [*found, trained.ranker(), trained.ranker(swaps=SWAPS, name="rl_swap")]


@torch.no_grad()
def best_of_samples(policy: PolicyRanker, bank: Bank, k: int, *, samples: int, seed: int) -> NDArray[np.int64]:
    """``[M, k]``: of ``samples`` lists drawn from the policy, the one with the largest expected reward on beliefs.

    As much search as costs about ``samples`` lists: what equal compute buys without exchange.
    """
    rng, rows = np.random.default_rng([seed, 41]), np.arange(len(bank.beliefs))
    weights = np.full(len(rows), policy.redundancy), np.full(len(rows), policy.novelty)
    drawn = []
    for _ in range(samples):
        features = ListFeatures(bank, len(rows), k)
        features.start(rows, rows, *weights)
        chosen = np.empty((len(rows), k), dtype=np.int64)
        for position in range(k):
            logits, _ = policy.network(torch.from_numpy(features.observe()))
            noisy = logits.numpy() + rng.gumbel(size=logits.shape)
            chosen[:, position] = np.where(features.available, noisy, -np.inf).argmax(axis=1)
            features.append(chosen[:, position])
        drawn.append(chosen)
    lists = np.stack(drawn, axis=1)
    return lists[rows, Problem.of(bank, rows, *weights).rewards(lists).argmax(axis=1)]


@dataclass(frozen=True)
class Judged:
    """A ranker's lists on a bank ``[M, k]``, their true rewards ``[M]`` and the other scores."""

    lists: NDArray[np.int64]
    reward: NDArray[np.float64]
    scores: ListScores


def judged(bank: Bank, requests: Sequence[Request], lists: NDArray[np.int64], reward: RewardConfig) -> Judged:
    """Lists judged by the truth."""
    return Judged(lists, list_rewards(bank, lists, reward), score_lists(requests, list(lists), reward))


def hypervolume(points: Sequence[tuple[float, float]], reference: tuple[float, float]) -> float:
    """Area that ``(x, y)`` points dominate above a reference point (Zitzler and Thiele, 1999), both maximised.

    >>> hypervolume([(1.0, 1.0), (2.0, 0.5), (0.5, 0.5)], (0.0, 0.0))
    1.5
    """
    area, height = 0.0, reference[1]
    for x, y in sorted(points, reverse=True):
        if x > reference[0] and y > height:
            area += (x - reference[0]) * (y - height)
            height = y
    return float(area)


def sweep_hypervolumes(
    ndcg: NDArray[np.float64], ild: NDArray[np.float64], base_ndcg: NDArray[np.float64], rows: NDArray[np.integer]
) -> float:
    """Hypervolume of a sweep's means over some users: ``ndcg`` and ``ild`` ``[P, U]``, of ``P`` settings."""
    reference = float(base_ndcg[rows].mean()) - HYPERVOLUME_BELOW, 0.0
    means = zip(ndcg[:, rows].mean(axis=1).tolist(), ild[:, rows].mean(axis=1).tolist(), strict=True)
    return hypervolume(list(means), reference)


def at_weights(ranker: PolicyRanker, weight: float) -> PolicyRanker:
    """The policy at lambda = mu = weight."""
    return ranker.at(redundancy=weight, novelty=weight)


def default_weight(
    policy: PolicyRanker, requests: Sequence[Request], read: Bank, plain: Bank, k: int
) -> tuple[float, dict[float, float]]:
    """The largest lambda = mu tried at which the policy keeps ``NDCG_KEPT`` of Base's NDCG; else the smallest.

    requests: of val. read, plain: their bank with the policy's reader, and without one. Also the share kept at each.
    FvrecError where Base's NDCG is 0: nothing in the pools is relevant to anybody.
    """

    def ndcg(lists: NDArray[np.int64]) -> float:
        return float(score_lists(requests, list(lists), RewardConfig()).ndcg.mean())

    base = ndcg(base_lists(plain, k))
    if base <= 0:
        raise FvrecError("no weight can be chosen: nothing is relevant to these users", found=f"NDCG {base}")
    kept = {weight: ndcg(at_weights(policy, weight).rank_bank(read, k)) / base for weight in WEIGHTS_TRIED}
    return max((weight for weight, share in kept.items() if share >= NDCG_KEPT), default=WEIGHTS_TRIED[0]), kept


def without_truth(bank: Bank) -> Bank:
    """What a ranker is handed of a bank."""
    return replace(bank, requests=())
