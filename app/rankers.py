"""Which ranker answers a strategy at a position of the diversity slider."""

from __future__ import annotations

from math import isnan, nan, sqrt
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


def slider(strategy: str, setting: float | None) -> float:
    """Where the slider stands for a setting of a recorded trade-off curve; NaN without one.

    Diversifiers are swept from all diversity (0) to all relevance (1), the policy by its lambda = mu.
    """
    from fvrec.rl.episodes import WEIGHT_LIMIT

    if setting is None or isnan(setting):
        return nan
    return sqrt(setting / WEIGHT_LIMIT) if strategy in ("rl", "rl_swap") else 1.0 - setting


def _policy(policy: Path, diversity: float, source: str) -> Ranker:
    """Lambda and mu grow with the square of the slider: at ``DIVERSITY`` they are near the policy's own.

    With the exchange behind it: ``rl_swap`` in the reports.
    """
    from fvrec.rl.artifact import load_ranker
    from fvrec.rl.episodes import WEIGHT_LIMIT
    from fvrec.rl.serve import SWAPS

    weight = WEIGHT_LIMIT * diversity**2
    return load_ranker(policy, source=source or None, redundancy=weight, novelty=weight, swaps=SWAPS)
