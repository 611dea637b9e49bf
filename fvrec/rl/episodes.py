"""Episodes side by side: what the single and the vectorised environment both do, and all that they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.rl.bank import Bank
from fvrec.rl.features import ListFeatures
from fvrec.rl.reward import ListReward, RewardTerms

if TYPE_CHECKING:
    from fvrec.rl.env import EnvConfig

WEIGHT_LIMIT = 0.6
"""Lambda and mu that a policy is trained for go from 0 to this; beyond it a ranker clamps them, and says so."""


@dataclass(frozen=True)
class Outcome:
    """One step of ``B`` episodes: reward ``[B]``, ended ``[B]``, and an info for each.

    hazard: ``[B]`` chance that the user left after this item; 0 in a list.
    """

    reward: NDArray[np.float32]
    ended: NDArray[np.bool_]
    infos: list[dict[str, Any]]
    hazard: NDArray[np.float64]


class Episodes:
    """``B`` running episodes on one bank.

    Episode ``i`` draws from the generator that it is handed, and from no other.
    """

    def __init__(self, bank: Bank, batch: int, config: EnvConfig) -> None:
        self._bank, self._config = bank, config
        self._features = ListFeatures(bank, batch, config.list_length, config.feedback)
        self._truth = ListReward(bank, batch)
        self._requests = np.zeros(batch, dtype=np.int64)
        self._weights = np.zeros((2, batch))
        self._batch = np.arange(batch)
        self._users = [request.user_id for request in bank.requests]
        self._items = [request.pool.item_ids for request in bank.requests]

    @property
    def available(self) -> NDArray[np.bool_]:
        """``[B, N]``: candidates that may be chosen."""
        return self._features.available.copy()

    @property
    def position(self) -> NDArray[np.int64]:
        """``[B]``: items in each list."""
        return self._features.position

    @property
    def requests(self) -> NDArray[np.int64]:
        """``[B]``: the row of the bank that each list is for."""
        return self._requests

    def observe(self) -> NDArray[np.float32]:
        """``[B, N, F]``."""
        return self._features.observe()

    def start(self, which: NDArray[np.integer], generators: Sequence[np.random.Generator]) -> None:
        """New episodes in the places ``which [b]``, drawn from ``generators``, one each."""
        requests = np.array([int(rng.integers(len(self._bank))) for rng in generators])
        if self._config.vary:
            weights = np.array([draw_weights(rng) for rng in generators]).T
        else:
            reward = self._config.reward
            weights = np.tile([[reward.redundancy], [reward.novelty]], (1, len(which)))
        self._requests[which], self._weights[:, which] = requests, weights
        self._features.start(which, requests, weights[0], weights[1])
        self._truth.start(which, requests, weights[0], weights[1])

    def start_infos(self) -> list[dict[str, Any]]:
        """What ``reset`` tells of each episode."""
        return [
            {"user_id": self._users[row], "redundancy_weight": lam, "novelty_weight": mu}
            for row, lam, mu in zip(self._requests.tolist(), *self._weights.tolist(), strict=True)
        ]

    def step(self, actions: NDArray[np.integer], generators: Sequence[np.random.Generator]) -> Outcome:
        """Add ``actions [B]``; FvrecError when one is outside its pool or already in its list."""
        size = self._bank.pool_size
        inside = (actions >= 0) & (actions < size)
        if not inside.all() or not self._features.available[self._batch, actions].all():
            raise FvrecError("not an allowed action: outside the pool or already in the list", found=actions.tolist())
        heard = self._answers(actions, generators)
        position = self.position.tolist()
        terms = self._truth.append(actions)
        self._features.append(actions, None if heard is None else heard[0])
        ended = self.position >= self._config.list_length
        infos = self._infos(actions, position, terms)
        if heard is None:
            return Outcome(terms.reward, ended, infos, np.zeros(len(actions)))
        answers, left, hazard = heard
        for info, answer, gone in zip(infos, answers.tolist(), left.tolist(), strict=True):
            info["answer"], info["left"] = answer, gone
        return Outcome(terms.reward, ended | left, infos, hazard)

    def _infos(self, actions: NDArray[np.integer], position: list[int], terms: RewardTerms) -> list[dict[str, Any]]:
        rows, users, items = self._requests.tolist(), self._users, self._items
        parts = (terms.relevance.tolist(), terms.redundancy.tolist(), terms.novelty.tolist())
        return [
            {
                "user_id": users[row],
                "item_id": items[row][action],
                "position": place,
                "relevance": relevance,
                "redundancy": redundancy,
                "novelty": novelty,
            }
            for row, action, place, relevance, redundancy, novelty in zip(
                rows, actions.tolist(), position, *parts, strict=True
            )
        ]

    def _answers(
        self, actions: NDArray[np.integer], generators: Sequence[np.random.Generator]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64]] | None:
        """Answers, who leaves, and how likely that was; None in a list."""
        feedback = self._config.feedback
        if feedback is None:
            return None
        draws = np.array([rng.random(3) for rng in generators])
        interest = self._truth.interest(actions, feedback.boredom)
        answer = feedback.answer(interest, draws[:, 0], feedback.as_normal(draws[:, 1]))
        hazard = feedback.leave * (1.0 - feedback.appeal(interest))
        return answer, draws[:, 2] < hazard, hazard


def draw_weights(rng: np.random.Generator) -> tuple[float, float]:
    """Lambda and mu for one episode: each is 0 one time in ten, else denser where they are small."""
    lam_zero, lam, mu_zero, mu = rng.random(4).tolist()
    return (
        0.0 if lam_zero < 0.1 else WEIGHT_LIMIT * lam * lam,
        0.0 if mu_zero < 0.1 else WEIGHT_LIMIT * mu * mu,
    )
