"""List rankers that need no training: by relevance alone, and maximal marginal relevance."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.rerank.pool import Pool, check_list_length


@dataclass(frozen=True)
class BaseRank:
    """The ``k`` most relevant, best first; ties keep the pool's order."""

    name: str = field(default="base_rank", init=False)

    def rank(self, pool: Pool, k: int) -> NDArray[np.int64]:
        """``[k]`` indices into the pool; FvrecError when ``k`` exceeds the pool."""
        check_list_length(pool, k)
        return np.argsort(-pool.relevance, kind="stable")[:k].astype(np.int64)


@dataclass(frozen=True)
class Mmr:
    """Maximal marginal relevance (Carbonell & Goldstein, 1998), greedily.

    Next is the item with the largest ``trade_off * relevance - (1 - trade_off) * max cosine to the chosen``; cosines
    below zero count as zero. ``trade_off`` 1 gives BaseRank's order; 0 spreads the list as far as it goes. Ties go to
    the earlier in the pool.
    """

    trade_off: float = 0.7
    name: str = field(default="mmr", init=False)

    def __post_init__(self) -> None:
        if not 0.0 <= self.trade_off <= 1.0:
            raise FvrecError(
                "MMR's trade-off is out of range", where="trade_off", found=self.trade_off, allowed="0 to 1"
            )

    def rank(self, pool: Pool, k: int) -> NDArray[np.int64]:
        """``[k]`` indices into the pool; FvrecError when ``k`` exceeds the pool."""
        check_list_length(pool, k)
        gain = self.trade_off * pool.relevance.astype(np.float64)
        nearest = np.zeros(len(pool))
        chosen = np.empty(k, dtype=np.int64)
        for position in range(k):
            marginal = gain - (1.0 - self.trade_off) * nearest
            marginal[chosen[:position]] = -np.inf
            chosen[position] = marginal.argmax()
            np.maximum(nearest, pool.embeddings @ pool.embeddings[chosen[position]], out=nearest)
        return chosen
