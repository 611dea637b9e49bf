"""Many list environments in one, by NumPy: same seeds, same episodes as ``ListEnv``, without its per-step overhead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from fvrec.errors import FvrecError
from fvrec.rl.env import EnvConfig, check_list_fits, observation_space, terms_of
from fvrec.rl.features import ListFeatures
from fvrec.rl.requests import Request, RequestSource
from fvrec.rl.reward import ListReward, RewardTerms


class ListVecEnv(VecEnv):
    """``B`` copies of ``ListEnv`` that step together; its docstring is the contract.

    Every episode has the same length, so all copies end, and start anew, at the same step. Copy ``i`` draws from its
    own generator: after ``seed(s)`` it gives the episodes of a ``ListEnv`` reset with seed ``s + i``. ``infos`` hold
    the reward's terms at each step, and ``terminal_observation`` and ``episode`` (SB3's convention) at the last.
    """

    def __init__(self, source: RequestSource, num_envs: int, config: EnvConfig | None = None) -> None:
        self.config = config or EnvConfig()
        check_list_fits(source, self.config)
        self.render_mode = None
        super().__init__(num_envs, observation_space(source.pool_size), spaces.Discrete(source.pool_size))
        self._source = source
        self._generators: list[np.random.Generator | None] = [None] * num_envs
        self._rows = np.arange(num_envs)
        self._start_empty()

    def reset(self) -> NDArray[np.float32]:
        for index, seed in enumerate(self._seeds):
            if seed is not None or self._generators[index] is None:
                self._generators[index] = seeding.np_random(seed)[0]
        self._reset_seeds()
        self._reset_options()
        return self._start()

    def step_async(self, actions: NDArray[np.integer]) -> None:
        if self._features is None or not self._features.available[self._rows, actions].all():
            raise FvrecError("not an allowed action: the environment was not reset, or an item is already in its list")
        self._actions = actions

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        if self._features is None or self._truth is None:
            raise FvrecError("the environment was not reset")
        terms = self._truth.append(self._actions)
        self._features.append(self._actions)
        infos = self._infos(terms)
        observation = self._features.observe()
        self._position += 1
        self._returns += terms.reward
        ended = self._position == self.config.list_length
        if ended:
            self._close_episodes(infos, observation)
            observation = self._start()
        return observation, terms.reward, np.full(self.num_envs, ended), infos

    def action_masks(self) -> NDArray[np.bool_]:
        """``[B, N]``: True where the candidate may be chosen."""
        if self._features is None:
            raise FvrecError("reset the environment before asking for its action masks")
        return self._features.available

    def close(self) -> None:
        """Nothing to release."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise FvrecError("the copies of this environment share their attributes", found=attr_name)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        if method_name != "action_masks":
            raise FvrecError("the copies of this environment have no such method", found=method_name)
        masks = self.action_masks()
        return [masks[index] for index in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return [False for _ in self._get_indices(indices)]

    def _start_empty(self) -> None:
        self._requests: Sequence[Request] = ()
        self._features: ListFeatures | None = None
        self._truth: ListReward | None = None
        self._position = 0
        self._returns = np.zeros(self.num_envs, dtype=np.float32)

    def _start(self) -> NDArray[np.float32]:
        self._requests = [self._source.sample(rng) for rng in self._generators if rng is not None]
        self._features = ListFeatures([request.pool for request in self._requests], self.config.list_length)
        self._truth = ListReward(self._requests, self.config.reward)
        self._position = 0
        self._returns = np.zeros(self.num_envs, dtype=np.float32)
        self.reset_infos = [{"user_id": request.user_id} for request in self._requests]
        return self._features.observe()

    def _infos(self, terms: RewardTerms) -> list[dict[str, Any]]:
        return [
            {
                "user_id": request.user_id,
                "item_id": request.pool.item_ids[action],
                "position": self._position,
                **terms_of(terms, row),
            }
            for row, (request, action) in enumerate(zip(self._requests, self._actions, strict=True))
        ]

    def _close_episodes(self, infos: list[dict[str, Any]], observation: NDArray[np.float32]) -> None:
        for row, info in enumerate(infos):
            info["terminal_observation"] = observation[row]
            info["episode"] = {"r": float(self._returns[row]), "l": self._position}
