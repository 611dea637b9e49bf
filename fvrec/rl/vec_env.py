"""Many list environments in one, by NumPy: same seeds, same episodes as ``ListEnv``, without its per-step overhead."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from fvrec.errors import FvrecError
from fvrec.rl.bank import Bank, as_bank
from fvrec.rl.env import EnvConfig, observation_space
from fvrec.rl.episodes import Episodes
from fvrec.rl.requests import RequestSource


class ListVecEnv(VecEnv):
    """``B`` copies of ``ListEnv`` that step together; its docstring is the contract.

    A copy whose episode ends starts anew at once (SB3's convention). Copy ``i`` draws from its own generator: after
    ``seed(s)`` it gives the episodes of a ``ListEnv`` reset with seed ``s + i``. ``infos`` hold the reward's terms
    at each step, and ``terminal_observation`` and ``episode`` at the last.
    """

    def __init__(self, source: RequestSource | Bank, num_envs: int, config: EnvConfig | None = None) -> None:
        self.config = config or EnvConfig()
        self._bank = as_bank(source)
        self._episodes = Episodes(self._bank, num_envs, self.config)
        self.render_mode = None
        size = self._bank.pool_size
        super().__init__(num_envs, observation_space(size), spaces.Discrete(size))
        self._generators: list[np.random.Generator] = []
        self._returns = np.zeros(num_envs, dtype=np.float64)
        self.hazard = np.zeros(num_envs)

    def reset(self) -> NDArray[np.float32]:
        fresh = not self._generators
        for index, seed in enumerate(self._seeds):
            if fresh:
                self._generators.append(seeding.np_random(seed)[0])
            elif seed is not None:
                self._generators[index] = seeding.np_random(seed)[0]
        self._reset_seeds()
        self._reset_options()
        self._returns[:] = 0.0
        self._episodes.start(np.arange(self.num_envs), self._generators)
        self.reset_infos = self._episodes.start_infos()
        return self._episodes.observe()

    def step_async(self, actions: NDArray[np.integer]) -> None:
        if not self._generators:
            raise FvrecError("not an allowed action: the environment was not reset")
        self._actions = actions

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        outcome = self._episodes.step(self._actions, self._generators)
        self._returns += outcome.reward
        self.hazard = outcome.hazard
        observation = self._episodes.observe()
        if outcome.ended.any():
            observation = self._start_anew(np.flatnonzero(outcome.ended), observation, outcome.infos)
        return observation, outcome.reward, outcome.ended, outcome.infos

    def action_masks(self) -> NDArray[np.bool_]:
        """``[B, N]``: True where the candidate may be chosen."""
        if not self._generators:
            raise FvrecError("reset the environment before asking for its action masks")
        return self._episodes.available

    def set_bank(self, source: RequestSource | Bank) -> None:
        """Draw episodes from another bank of the same pool size; the caller resets."""
        self._bank = as_bank(source)
        self._episodes = Episodes(self._bank, self.num_envs, self.config)

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

    def _start_anew(
        self, which: NDArray[np.int64], last: NDArray[np.float32], infos: list[dict[str, Any]]
    ) -> NDArray[np.float32]:
        lengths = self._episodes.position
        for index in which.tolist():
            infos[index]["terminal_observation"] = last[index]
            infos[index]["episode"] = {"r": float(self._returns[index]), "l": int(lengths[index])}
        self._returns[which] = 0.0
        self._episodes.start(which, [self._generators[index] for index in which.tolist()])
        self.reset_infos = self._episodes.start_infos()
        return self._episodes.observe()
