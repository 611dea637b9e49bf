"""The one scorer of a list: the environment's reward and the evaluation's ``true_reward`` are this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fvrec.errors import FvrecError
from fvrec.rerank.pool import UNKNOWN_CODES
from fvrec.rl.requests import Request
from fvrec.schema import FIELDS

_STYLE = FIELDS.index("style")


@dataclass(frozen=True)
class RewardConfig:
    """Weights of a list's reward: ``redundancy`` is the plan's lambda, ``novelty`` its mu; neither is negative."""

    redundancy: float = 0.06
    novelty: float = 0.06

    def __post_init__(self) -> None:
        for name in ("redundancy", "novelty"):
            weight = getattr(self, name)
            if not (np.isfinite(weight) and weight >= 0):
                raise FvrecError("a reward weight is negative or not finite", where=name, found=weight, allowed=">= 0")


@dataclass(frozen=True)
class RewardTerms:
    """The terms of one step, unweighted, one entry for each of ``B`` lists; ``reward`` is their weighted sum."""

    relevance: NDArray[np.float32]
    redundancy: NDArray[np.float32]
    novelty: NDArray[np.float32]
    reward: NDArray[np.float32]


def position_discount(position: ArrayLike) -> NDArray[np.float32]:
    """``1 / log2(position + 2)`` for positions from 0: the discount of DCG (Järvelin and Kekäläinen, 2002).

    >>> position_discount([0, 2]).tolist()
    [1.0, 0.5]
    """
    return (1.0 / np.log2(np.asarray(position, dtype=np.float64) + 2.0)).astype(np.float32)


def attribute_similarity(values: NDArray[np.int16], chosen: NDArray[np.int16]) -> NDArray[np.float32]:
    """Share of equal values among the fields that both items know; 0 when there is none.

    ``values [B, N, 10]`` against ``chosen [B, 10]`` -> ``[B, N]``.
    """
    other = chosen[:, None, :]
    both = (values != UNKNOWN_CODES) & (other != UNKNOWN_CODES)
    equal = (values == other) & both
    return (equal.sum(axis=-1) / np.maximum(1, both.sum(axis=-1))).astype(np.float32)


def new_values(values: NDArray[np.int16]) -> NDArray[np.bool_]:
    """What an empty list still lacks: every known value. ``[..., 10]``."""
    return values != UNKNOWN_CODES


class ListReward:
    """Running truth of ``B`` lists that are built in step from pools of one size.

    Step ``t`` (from 0) with item ``i``: ``discount(t) * true_relevance(i) - redundancy_weight * max similarity of true
    attributes to the items chosen before + novelty_weight * (long_tail(i) + new_style(i)) / 2``, where ``new_style`` is
    1 when the item's true style is known and not yet in the list.
    """

    def __init__(self, requests: Sequence[Request], config: RewardConfig) -> None:
        self._config = config
        self._relevance = np.stack([request.true_relevance for request in requests])
        self._values = np.stack([request.true_values for request in requests])
        self._long_tail = np.stack([request.long_tail for request in requests])
        self._similarity = np.zeros(self._relevance.shape, dtype=np.float32)
        self._new_style = new_values(self._values)[..., _STYLE]
        self._rows = np.arange(len(requests))
        self._position = 0

    def append(self, actions: NDArray[np.integer]) -> RewardTerms:
        """Add candidate ``actions [B]`` to the lists and say what each earned."""
        at = (self._rows, actions)
        relevance = position_discount(self._position) * self._relevance[at]
        redundancy = self._similarity[at]
        novelty = (self._long_tail[at] + self._new_style[at]).astype(np.float32) / 2
        reward = relevance - self._config.redundancy * redundancy + self._config.novelty * novelty
        self._advance(self._values[at])
        return RewardTerms(relevance, redundancy, novelty, reward.astype(np.float32))

    def _advance(self, chosen: NDArray[np.int16]) -> None:
        self._similarity = np.maximum(self._similarity, attribute_similarity(self._values, chosen))
        self._new_style &= self._values[..., _STYLE] != chosen[:, None, _STYLE]
        self._position += 1


def list_reward(request: Request, ranking: NDArray[np.integer], config: RewardConfig) -> float:
    """Total reward of one finished list of pool indices, best first."""
    running = ListReward([request], config)
    return float(sum(running.append(np.array([index])).reward[0] for index in ranking))
