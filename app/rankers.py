"""Which ranker answers a strategy at a position of the diversity slider."""

from __future__ import annotations

from math import isnan, log, nan
from pathlib import Path
from typing import TYPE_CHECKING

from fvrec.config import STRATEGIES
from fvrec.errors import FvrecError

if TYPE_CHECKING:
    from fvrec.rerank.pool import Ranker

DIVERSITY = 0.3
"""Where the slider stands at first: MMR's own trade-off of 0.7."""


def ranker_for(strategy: str, diversity: float, policy: Path, source: str = "") -> Ranker:
    """diversity: in [0, 1], 0 = relevance alone. FvrecError on an unknown strategy, and for ``rl`` without a policy
    that was trained on ``source``.
    """
    from fvrec.rerank.diversify import BaseRank, Mmr

    if strategy == "base_rank":
        return BaseRank()
    if strategy == "mmr":
        return Mmr(1.0 - diversity)
    if strategy != "rl":
        raise FvrecError("unknown strategy", found=strategy, allowed=STRATEGIES)
    if not policy.is_dir():
        raise FvrecError("there is no trained list policy yet: `fvrec run` trains one", where=policy)
    return _policy(policy, diversity, source)


def own_weight(policy: Path) -> float:
    """The lambda = mu of the policy in this folder; that of training where none can be read."""
    from fvrec.rl.artifact import load_policy
    from fvrec.rl.reward import RewardConfig

    try:
        return load_policy(policy).env.reward.redundancy
    except FvrecError:
        return RewardConfig().redundancy


def slider(strategy: str, setting: float | None, own: float) -> float:
    """Where the slider stands for a setting of a recorded trade-off curve; NaN without one.

    Diversifiers are swept from all diversity (0) to all relevance (1), the policy by its lambda = mu, of which ``own``
    is at ``DIVERSITY``.
    """
    from fvrec.rl.episodes import WEIGHT_LIMIT

    if setting is None or isnan(setting):
        return nan
    if strategy not in ("rl", "rl_swap"):
        return 1.0 - setting
    return float((setting / WEIGHT_LIMIT) ** (1 / _steepness(own)))


def _policy(policy: Path, diversity: float, source: str) -> Ranker:
    """Lambda = mu is a power of the slider: the policy's own at ``DIVERSITY``, the largest it knows at 1.

    With the exchange behind it: ``rl_swap`` in the reports.
    """
    from fvrec.rl.artifact import load_policy
    from fvrec.rl.episodes import WEIGHT_LIMIT
    from fvrec.rl.serve import SWAPS

    trained = load_policy(policy, source=source or None)
    weight = WEIGHT_LIMIT * diversity ** _steepness(trained.env.reward.redundancy)
    return trained.ranker(redundancy=weight, novelty=weight, swaps=SWAPS)


def _steepness(own: float) -> float:
    """The exponent p of ``WEIGHT_LIMIT * slider**p`` that gives a policy's own weight at ``DIVERSITY``."""
    from fvrec.rl.episodes import WEIGHT_LIMIT

    share = min(max(own / WEIGHT_LIMIT, 1e-3), 0.9)  # a weight of nothing, or of all, leaves the slider a use
    return log(share) / log(DIVERSITY)
