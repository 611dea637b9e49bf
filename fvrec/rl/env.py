"""The list environment of the project plan, section 10, as a Gymnasium environment: a list at once, or a feed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.rl.bank import Bank, as_bank
from fvrec.rl.episodes import Episodes
from fvrec.rl.features import FEATURE_LIMIT, FEATURES
from fvrec.rl.feedback import FeedbackConfig
from fvrec.rl.requests import RequestSource
from fvrec.rl.reward import RewardConfig


@dataclass(frozen=True)
class EnvConfig:
    """Length of the list to build and weights of its reward.

    reward: lambda and mu of every episode. vary: draw them anew for each episode instead, from 0 to ``WEIGHT_LIMIT``
    (``fvrec.rl.episodes.draw_weights``). feedback: None for mode ``list``; how users answer for mode ``feed``.
    """

    list_length: int = 10
    reward: RewardConfig = field(default_factory=RewardConfig)
    vary: bool = False
    feedback: FeedbackConfig | None = None

    @property
    def mode(self) -> str:
        """``list`` or ``feed``."""
        return "list" if self.feedback is None else "feed"


def observation_space(pool_size: int) -> spaces.Box[np.float32]:
    """``[N, F]`` float32, columns as in ``FEATURES``."""
    return spaces.Box(-FEATURE_LIMIT, FEATURE_LIMIT, (pool_size, len(FEATURES)), np.float32)


class ListEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """Build one list for one user, item by item.

    **Action.** ``Discrete(N)``: index of the next item in the pool. An item already in the list is not allowed:
    ``action_masks()`` says which are; choosing one all the same raises FvrecError.

    **Observation.** ``Box [N, F]`` float32, one row per candidate, columns as in ``fvrec.rl.features.FEATURES``:
    what is believed of the item for this user (relevance and its doubt, rarity, how like the pool it is), how it
    relates to
    the list so far (likeness, style, what it would add), lambda and mu, where in the list we are, whether it is still
    available, and in a feed what the user answered. Nothing true of user or item is in it.

    **Start.** A request is drawn from the bank (of another source, ``bank.BANK_SIZE`` requests are drawn first): a
    user, and ``N`` candidates in random order; the list is empty. With ``config.vary`` lambda and mu are drawn as
    well.

    **Reward.** ``discount(t) * relevance - lambda * redundancy + mu * novelty`` by true preferences and true attributes
    (``fvrec.rl.reward.ListReward``); the undiscounted sum over the episode (gamma = 1) is the list's true reward.

    **End.** Terminated after ``list_length`` items; in a feed also when the user leaves. Never truncated.

    **Info.** ``reset``: user_id, redundancy_weight, novelty_weight. ``step``: user_id, item_id, position, and the
    reward's terms, unweighted: relevance (with its discount), redundancy, novelty; in a feed also answer and left.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - Gymnasium declares it as an instance attribute

    def __init__(self, source: RequestSource | Bank, config: EnvConfig | None = None) -> None:
        self.config = config or EnvConfig()
        self._bank = as_bank(source)
        self._episodes = Episodes(self._bank, 1, self.config)
        self.observation_space: spaces.Space[NDArray[np.float32]] = observation_space(self._bank.pool_size)
        self.action_space = spaces.Discrete(self._bank.pool_size)
        self._running = False
        self._started = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self._episodes.start(np.array([0]), [self.np_random])
        self._running = self._started = True
        return self._episodes.observe()[0], self._episodes.start_infos()[0]

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        if not self._running:
            raise FvrecError("the list is not being built: reset the environment first")
        outcome = self._episodes.step(np.array([int(action)]), [self.np_random])
        self._running = not outcome.ended[0]
        return self._episodes.observe()[0], float(outcome.reward[0]), not self._running, False, outcome.infos[0]

    def action_masks(self) -> NDArray[np.bool_]:
        """``[N]``: True where the candidate may be chosen."""
        if not self._started:
            raise FvrecError("reset the environment before asking for its action mask")
        return self._episodes.available[0]
