"""The list environment of the project plan, section 10, as a Gymnasium environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.rl.features import FEATURE_LIMIT, FEATURES, ListFeatures
from fvrec.rl.requests import RequestSource
from fvrec.rl.reward import ListReward, RewardConfig, RewardTerms


@dataclass(frozen=True)
class EnvConfig:
    """Length of the list to build and weights of its reward."""

    list_length: int = 10
    reward: RewardConfig = field(default_factory=RewardConfig)


def observation_space(pool_size: int) -> spaces.Box[np.float32]:
    """``[N, F]`` float32, columns as in ``FEATURES``."""
    return spaces.Box(-FEATURE_LIMIT, FEATURE_LIMIT, (pool_size, len(FEATURES)), np.float32)


def check_list_fits(source: RequestSource, config: EnvConfig) -> None:
    """FvrecError unless the list is no longer than the pools."""
    if not 1 <= config.list_length <= source.pool_size:
        raise FvrecError(
            "the list length does not fit the pool",
            where="list_length",
            found=config.list_length,
            allowed=f"1 to {source.pool_size}",
        )


class ListEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """Build one list for one user, item by item.

    **Action.** ``Discrete(N)``: index of the next item in the pool. An item already in the list is not allowed:
    ``action_masks()`` says which are; choosing one all the same raises FvrecError.

    **Observation.** ``Box [N, F]`` float32, one row per candidate, columns as in ``fvrec.rl.features.FEATURES``: how
    the item suits the estimated user profile (overall and by field), how it relates to the list so far (largest and
    mean similarity by predicted attributes and by embedding, what it would add), how rare it is in the pool, where in
    the list we are, and whether it is still available. Nothing true of user or item is in it.

    **Start.** A request is drawn from the source: a user, and ``N`` candidates in random order; the list is empty.

    **Reward.** ``discount(t) * relevance - lambda * redundancy + mu * novelty`` by true preferences and true attributes
    (``fvrec.rl.reward.ListReward``); the undiscounted sum over the episode (gamma = 1) is the list's true reward.

    **End.** Terminated after ``list_length`` items; never truncated.

    **Info.** ``reset``: user_id. ``step``: user_id, item_id, position, and the reward's terms, unweighted:
    relevance (with its discount), redundancy, novelty.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - Gymnasium declares it as an instance attribute

    def __init__(self, source: RequestSource, config: EnvConfig | None = None) -> None:
        self.config = config or EnvConfig()
        check_list_fits(source, self.config)
        self.observation_space: spaces.Space[NDArray[np.float32]] = observation_space(source.pool_size)
        self.action_space = spaces.Discrete(source.pool_size)
        self._source = source
        self._features: ListFeatures | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self._request = self._source.sample(self.np_random)
        self._features = ListFeatures([self._request.pool], self.config.list_length)
        self._truth = ListReward([self._request], self.config.reward)
        self._position = 0
        return self._features.observe()[0], {"user_id": self._request.user_id}

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        features = self._check_step(int(action))
        chosen = np.array([int(action)])
        terms = self._truth.append(chosen)
        features.append(chosen)
        info = {
            "user_id": self._request.user_id,
            "item_id": self._request.pool.item_ids[int(action)],
            "position": self._position,
            **terms_of(terms, 0),
        }
        self._position += 1
        return features.observe()[0], float(terms.reward[0]), self._position == self.config.list_length, False, info

    def action_masks(self) -> NDArray[np.bool_]:
        """``[N]``: True where the candidate may be chosen."""
        if self._features is None:
            raise FvrecError("reset the environment before asking for its action mask")
        return self._features.available[0]

    def _check_step(self, action: int) -> ListFeatures:
        if self._features is None or self._position >= self.config.list_length:
            raise FvrecError("the list is not being built: reset the environment first")
        if not 0 <= action < self._source.pool_size or not self._features.available[0, action]:
            raise FvrecError("not an allowed action: outside the pool or already in the list", found=action)
        return self._features


def terms_of(terms: RewardTerms, row: int) -> dict[str, float]:
    """The unweighted terms of one list's step, by name, as ``info`` carries them."""
    return {name: float(getattr(terms, name)[row]) for name in ("relevance", "redundancy", "novelty")}
