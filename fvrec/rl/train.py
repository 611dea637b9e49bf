"""Training of the list policy by PPO with action masks (Schulman et al., 2017; Huang and Ontañón, 2020)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback
from torch.distributions import Distribution

from fvrec.config import RlBudget
from fvrec.errors import FvrecError, SanityError
from fvrec.records import CurvePoint
from fvrec.rl.env import EnvConfig
from fvrec.rl.items import ItemTable
from fvrec.rl.policy import PolicyConfig, PolicyRanker, SetNetwork, SetPolicy
from fvrec.rl.requests import Request, RequestSampler, RequestSource
from fvrec.rl.reward import list_reward
from fvrec.rl.users import sample_population
from fvrec.rl.vec_env import ListVecEnv
from fvrec.stats import paired_difference

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""
SANITY_SAMPLES = 30


@dataclass(frozen=True)
class PpoConfig:
    """How PPO learns. A rollout is ``num_envs`` lists, one whole episode each, times ``lists_per_rollout``."""

    num_envs: int = 64
    lists_per_rollout: int = 2
    batch_size: int = 256
    epochs: int = 4
    learning_rate: float = 3e-3
    entropy: float = 0.0
    gae_lambda: float = 0.95
    hidden: int = 64


@dataclass(frozen=True)
class TrainedPolicy:
    """A trained network with what it was trained for and how its mean reward per list grew."""

    network: SetNetwork
    policy: PolicyConfig
    env: EnvConfig
    seed: int
    timesteps: int
    learning_curve: tuple[CurvePoint, ...]

    def ranker(self) -> PolicyRanker:
        """The policy as a Ranker."""
        return PolicyRanker(self.network)


def train_policy(
    items: ItemTable,
    *,
    budget: RlBudget,
    seed: int,
    env: EnvConfig | None = None,
    ppo: PpoConfig | None = None,
    progress: Progress | None = None,
) -> TrainedPolicy:
    """Train on ``budget.train_users`` users sampled over ``items`` (those of the val split: the VLM saw the others).

    The pool shrinks to the number of items when there are fewer. Same items, budget and seed: same policy.
    """
    source = request_sampler(items, budget, seed=seed)
    return train_on(
        source,
        env=env or EnvConfig(list_length=budget.list_length),
        timesteps=budget.timesteps,
        seed=seed,
        ppo=ppo,
        progress=progress,
    )


def request_sampler(items: ItemTable, budget: RlBudget, *, seed: int) -> RequestSampler:
    """Requests of the training users over ``items``."""
    crowd = sample_population(items, n=budget.train_users, split="train", seed=seed)
    return RequestSampler(items, crowd.users, min(budget.pool_size, len(items)), crowd.interactions)


def train_on(
    source: RequestSource,
    *,
    env: EnvConfig,
    timesteps: int,
    seed: int,
    ppo: PpoConfig | None = None,
    progress: Progress | None = None,
) -> TrainedPolicy:
    """Train on any source of requests; ``timesteps`` are items chosen, rounded up to whole rollouts."""
    if timesteps < 1:
        raise FvrecError("training needs at least one step", where="timesteps", found=timesteps, allowed="1 or more")
    ppo = ppo or PpoConfig()
    policy = PolicyConfig(hidden=ppo.hidden, reward=env.reward)
    with _isolated_torch():
        vec_env = ListVecEnv(source, ppo.num_envs, env)
        model = _make_ppo(vec_env, ppo, policy, seed)
        recorder = _Recorder(timesteps, progress)
        model.learn(timesteps, callback=recorder)
    return TrainedPolicy(
        cast(SetPolicy, model.policy).network.eval(), policy, env, seed, model.num_timesteps, tuple(recorder.points)
    )


def check(trained: TrainedPolicy, requests: list[Request], *, seed: int) -> None:
    """Raise SanityError unless the policy tells pools apart and earns more than random order on ``requests``.

    Meant for 30 requests of training users: what it cannot do there it can do nowhere.
    """
    k = trained.env.list_length
    ranker = trained.ranker()
    lists = [ranker.rank(request.pool, k) for request in requests]
    if len(requests) > 1 and len({tuple(ranking.tolist()) for ranking in lists}) == 1:
        raise SanityError("the policy picks the same positions whatever the pool holds", found=lists[0].tolist())
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(request.pool))[:k] for request in requests]
    reward = trained.env.reward
    earned = [list_reward(r, order, reward) for r, order in zip(requests, lists, strict=True)]
    by_chance = [list_reward(r, order, reward) for r, order in zip(requests, orders, strict=True)]
    gain = paired_difference(earned, by_chance, seed=seed)
    if not gain.value > 0:
        raise SanityError(
            "the policy earns no more than random order on its own training users",
            where=f"{len(requests)} lists of {k}",
            found=round(gain.value, 4),
            allowed="a mean difference in true reward above 0",
        )


def check_trained(trained: TrainedPolicy, items: ItemTable, *, budget: RlBudget) -> None:
    """The stage's self-check: ``check`` on 30 fresh requests of the users that it trained on."""
    source = request_sampler(items, budget, seed=trained.seed)
    rng = np.random.default_rng([trained.seed, SANITY_SAMPLES])
    check(trained, [source.sample(rng) for _ in range(SANITY_SAMPLES)], seed=trained.seed)


def _make_ppo(vec_env: ListVecEnv, ppo: PpoConfig, policy: PolicyConfig, seed: int) -> MaskablePPO:
    return MaskablePPO(
        SetPolicy,
        vec_env,
        learning_rate=lambda remaining: ppo.learning_rate * remaining,
        n_steps=vec_env.config.list_length * ppo.lists_per_rollout,
        batch_size=min(ppo.batch_size, ppo.num_envs * vec_env.config.list_length * ppo.lists_per_rollout),
        n_epochs=ppo.epochs,
        gamma=1.0,
        gae_lambda=ppo.gae_lambda,
        ent_coef=ppo.entropy,
        policy_kwargs={"config": policy},
        seed=seed,
        device="cpu",
    )


class _Recorder(BaseCallback):
    """Mean reward of the lists of each rollout, as the stochastic policy earned it, against steps taken."""

    def __init__(self, timesteps: int, progress: Progress | None) -> None:
        super().__init__()
        self.points: list[CurvePoint] = []
        self._timesteps = timesteps
        self._report = progress
        self._returns: list[float] = []

    def _on_step(self) -> bool:
        infos: list[dict[str, Any]] = self.locals["infos"]
        self._returns += [info["episode"]["r"] for info in infos if "episode" in info]
        return True

    def _on_rollout_end(self) -> None:
        mean = float(np.mean(self._returns))
        self.points.append(CurvePoint("rl", "policy_learning", float(self.num_timesteps), mean))
        self._returns.clear()
        if self._report is not None:
            self._report(min(self.num_timesteps, self._timesteps), self._timesteps)


@contextmanager
def _isolated_torch() -> Iterator[None]:
    """One thread, unchecked distributions and own random streams inside; the caller's settings back afterwards.

    At these batch sizes a second thread costs more than it gives, and the validation of every distribution costs
    twenty times the distribution. SB3 seeds the global generators: they are put back as they were.
    """
    threads, validate, numpy_state = torch.get_num_threads(), Distribution._validate_args, np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.set_num_threads(1)
            Distribution.set_default_validate_args(False)
            yield
    finally:
        torch.set_num_threads(threads)
        Distribution.set_default_validate_args(validate)
        np.random.set_state(numpy_state)
