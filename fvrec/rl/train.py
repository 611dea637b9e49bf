"""Training of the list policy: reader, warm start, then PPO with action masks (Schulman et al., 2017; Huang, 2020).

In order: the reader is fitted; the network fits true marginal gains, clones a search that knows what the policy may
know, or both; the critic fits the returns of that start; PPO goes on from there with gamma = 1. After each round of PPO
the policy is judged on requests of other users over other items, and the best round is what comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from torch.distributions import Distribution

from fvrec.config import RlBudget
from fvrec.errors import FvrecError, SanityError
from fvrec.records import CurvePoint
from fvrec.rl.bank import Bank
from fvrec.rl.cloning import clone, fit_marginals, scale_inputs, warm_critic
from fvrec.rl.coaching import CoachedVecEnv
from fvrec.rl.env import EnvConfig
from fvrec.rl.feedback import FeedbackConfig
from fvrec.rl.items import ItemTable, split_items
from fvrec.rl.playing import mean_reward
from fvrec.rl.policy import PolicyConfig, SetNetwork, SetPolicy
from fvrec.rl.reader import Reader, ReaderConfig, fit_reader
from fvrec.rl.requests import Request, RequestSampler, RequestSource
from fvrec.rl.resume import LEARNING, Progressed, load_progress, save_progress
from fvrec.rl.reward import RewardConfig, list_reward
from fvrec.rl.serve import Feeder, PolicyRanker
from fvrec.rl.users import sample_population
from fvrec.rl.vec_env import ListVecEnv
from fvrec.stats import paired_difference

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""
SANITY_SAMPLES = 30
_NEVER = 1_000_000
"""More rollouts than a round has: the logger keeps what the last update said of itself, and prints nothing."""
TRAIN_SHARE = 0.75
"""Of the items that training is given; the others choose the checkpoint."""


@dataclass(frozen=True)
class PpoConfig:
    """How PPO learns. A rollout is ``num_envs`` lists, one whole episode each, times ``lists_per_rollout``.

    sharpness: how strongly a choice while PPO learns leans to the larger gain. At 20 lists are so random that PPO
    learns little but to be less so, which the best candidate at work does not need.
    warm: ``none``, ``clone``, ``marginals`` or ``both`` before PPO, ``warm_epochs`` passes over ``bank`` requests each.
    rounds: how often the policy is judged (and may be resumed). reader: fit one, or take pools at their word.
    """

    num_envs: int = 128
    lists_per_rollout: int = 2
    batch_size: int = 512
    epochs: int = 4
    learning_rate: float = 1e-3
    entropy: float = 0.0
    gae_lambda: float = 0.95
    hidden: int = 32
    warm: str = "both"
    warm_epochs: int = 6
    warm_lr: float = 3e-3
    sharpness: float = 100.0
    bank: int = 1536
    rounds: int = 8
    target_kl: float | None = None
    reader: ReaderConfig | None = None

    @classmethod
    def sized(cls, timesteps: int) -> PpoConfig:
        """The defaults, with fewer rounds, requests and lists for a short training."""
        return cls(
            num_envs=128 if timesteps >= 20_000 else 32,
            bank=min(1536, max(192, timesteps // 30)),
            rounds=min(8, max(1, timesteps // 15_000)),
            warm_epochs=6 if timesteps >= 20_000 else 3,
        )


@dataclass(frozen=True)
class TrainedPolicy:
    """A trained network with its reader, what it was trained for and how its mean reward per list grew.

    source: the catalogue that its items came from; empty where that was not said. diagnostics: after each round its
    judgement, the KL divergence of the last update, the entropy, and what the critic explained of the returns. feed:
    the policy for feeds that goes with it, on the same reader.
    """

    network: SetNetwork
    policy: PolicyConfig
    env: EnvConfig
    seed: int
    timesteps: int
    learning_curve: tuple[CurvePoint, ...]
    reader: Reader | None = None
    source: str = ""
    diagnostics: tuple[CurvePoint, ...] = ()
    feed: TrainedPolicy | None = None

    def at(self, weight: float) -> TrainedPolicy:
        """The same policy, that for feeds too, with another lambda = mu for its own.

        There lists and feeds are made and judged unless told.
        """
        feed = None if self.feed is None else self.feed.at(weight)
        return replace(self, env=replace(self.env, reward=RewardConfig(weight, weight)), feed=feed)

    def ranker(
        self, *, redundancy: float | None = None, novelty: float | None = None, swaps: int = 0, name: str = "rl"
    ) -> PolicyRanker:
        """The policy as a Ranker, at its own trade-off unless another is named."""
        reward = self.env.reward
        return PolicyRanker(
            self.network,
            reader=self.reader,
            redundancy=reward.redundancy if redundancy is None else redundancy,
            novelty=reward.novelty if novelty is None else novelty,
            swaps=swaps,
            name=name,
            feeder=None if self.feed is None else Feeder(self.feed.network, self.feed.env.feedback),
        )


def train_policy(
    items: ItemTable,
    *,
    budget: RlBudget,
    seed: int,
    env: EnvConfig | None = None,
    ppo: PpoConfig | None = None,
    progress: Progress | None = None,
    source: str = "",
    resume: Path | None = None,
) -> TrainedPolicy:
    """Train on ``budget.train_users`` users sampled over ``items`` (those of the val split: the VLM saw the others).

    A quarter of the items, with users of their own, only chooses the checkpoint. The pool shrinks to the number of
    items when there are fewer. One policy for every lambda and mu up to ``WEIGHT_LIMIT``. Same items, budget and
    seed: same
    policy, whether it was interrupted and resumed (from ``resume``, a folder) or not.
    """
    ppo = ppo or PpoConfig.sized(budget.timesteps)
    own, other = training_split(items, budget, seed=seed)
    train = request_sampler(own, budget, seed=seed)
    judge = request_sampler(other, budget, seed=seed, split="val", size=train.pool_size)
    env = env or EnvConfig(list_length=budget.list_length, vary=True)
    with isolated_torch():
        reader = _fit_reader(own, train, ppo, seed)
    shared: dict[str, Any] = {"seed": seed, "progress": progress, "reader": reader, "judge": judge}
    trained = train_on(train, env=env, timesteps=budget.timesteps, ppo=ppo, resume=resume, **shared)
    feed = None
    if budget.feed_timesteps and env.feedback is None:
        feed = train_on(
            train,
            env=replace(env, feedback=FeedbackConfig()),
            timesteps=budget.feed_timesteps,
            ppo=replace(PpoConfig.sized(budget.feed_timesteps), warm="clone"),
            resume=resume / "feed" if resume else None,
            **shared,
        )
        feed = replace(feed, source=source)
    return replace(trained, source=source, feed=feed)


def training_split(items: ItemTable, budget: RlBudget, *, seed: int) -> tuple[ItemTable, ItemTable]:
    """The items to train on and those to choose the checkpoint on: the same ones where there are too few to part."""
    if (1 - TRAIN_SHARE) * len(items) < budget.list_length + 1:
        return items, items
    return split_items(items, share=TRAIN_SHARE, seed=seed)


def request_sampler(
    items: ItemTable, budget: RlBudget, *, seed: int, split: str = "train", size: int | None = None
) -> RequestSampler:
    """Requests of the training users (or as many of another split) over ``items``."""
    crowd = sample_population(items, n=budget.train_users, split=cast(Any, split), seed=seed)
    pool_size = min(budget.pool_size, len(items))
    return RequestSampler(items, crowd.users, pool_size if size is None else min(size, pool_size), crowd.interactions)


def train_on(
    source: RequestSource,
    *,
    env: EnvConfig,
    timesteps: int,
    seed: int,
    ppo: PpoConfig | None = None,
    progress: Progress | None = None,
    reader: Reader | None = None,
    judge: RequestSource | None = None,
    resume: Path | None = None,
) -> TrainedPolicy:
    """Train on any source of requests; ``timesteps`` are items chosen, rounded up to whole rollouts.

    judge: requests that choose the checkpoint; None: further ones of ``source``.
    """
    if timesteps < 1:
        raise FvrecError("training needs at least one step", where="timesteps", found=timesteps, allowed="1 or more")
    ppo = ppo or PpoConfig()
    policy = PolicyConfig(hidden=ppo.hidden, gated=env.vary)
    with isolated_torch():
        bank = Bank.draw(source, ppo.bank, seed=seed, reader=reader)

        def fresh(number: int) -> Bank:
            return Bank.draw(source, ppo.bank, seed=seed + 7919 * number, reader=reader)

        judged = Bank.draw(judge or source, max(64, ppo.bank // 4), seed=seed + 1, reader=reader)
        run = _Run(ppo, policy, env, seed, timesteps, progress)
        network, points, done = run.train(bank, judged, resume, fresh)
    curve = tuple(point for point in points if point.curve == LEARNING)
    told = tuple(point for point in points if point.curve != LEARNING)
    return TrainedPolicy(network.eval(), policy, env, seed, done, curve, reader, diagnostics=told)


class _Run:
    """One training: warm start, rounds of PPO, the best round kept."""

    def __init__(
        self, ppo: PpoConfig, policy: PolicyConfig, env: EnvConfig, seed: int, timesteps: int, progress: Progress | None
    ) -> None:
        self._ppo, self._policy, self._env, self._seed = ppo, policy, env, seed
        rollout = ppo.num_envs * env.list_length * ppo.lists_per_rollout
        self._rollouts = -(-timesteps // rollout)
        self._total, self._progress = self._rollouts * rollout, progress

    def train(
        self, bank: Bank, judged: Bank, resume: Path | None, fresh: Callable[[int], Bank]
    ) -> tuple[SetNetwork, list[CurvePoint], int]:
        ppo, vec_env = self._ppo, CoachedVecEnv(bank, self._ppo.num_envs, self._env)
        model = self._model(vec_env)
        network = cast(SetPolicy, model.policy).network
        identity = f"{ppo}|{self._policy}|{self._env}|{self._seed}|{self._total}"
        state = load_progress(resume, model.policy, identity) if resume else None
        if state is None:
            self._warm_start(network, bank)
            state = Progressed(0, [], -np.inf, {})
            self._judge(network, judged, 0, state)
        network.log_sharpness.requires_grad_(False)
        rounds = min(ppo.rounds, self._rollouts)
        shares = [len(part) for part in np.array_split(np.arange(self._rollouts), rounds)]
        for number in range(state.rounds, rounds):
            if number:
                vec_env.set_bank(fresh(number))
            self._round(model, vec_env, number, shares, state)
            self._judge(network, judged, sum(shares[: number + 1]) * self._total // self._rollouts, state)
            state.rounds = number + 1
            if resume:
                save_progress(resume, model.policy, identity, state)
        network.load_state_dict(state.best)
        return network, state.points, self._total

    def _judge(self, network: SetNetwork, judged: Bank, steps: int, state: Progressed) -> None:
        earned = mean_reward(network, judged, self._env)
        state.note(earned, network)
        state.points.append(CurvePoint("rl", "policy_judged", float(steps), earned))

    def _warm_start(self, network: SetNetwork, bank: Bank) -> None:
        ppo, env = self._ppo, self._env
        scale_inputs(network, bank, env, seed=self._seed)
        for name, fit in (("marginals", fit_marginals), ("clone", clone)):
            if ppo.warm in (name, "both"):
                fit(network, bank, env, epochs=ppo.warm_epochs, lr=ppo.warm_lr, seed=self._seed)
        warm_critic(network, bank, env, epochs=max(1, ppo.warm_epochs // 2), lr=ppo.warm_lr, seed=self._seed)
        with torch.no_grad():
            network.log_sharpness.fill_(float(np.log(ppo.sharpness)))

    def _round(
        self, model: MaskablePPO, vec_env: ListVecEnv, number: int, shares: list[int], state: Progressed
    ) -> None:
        rollout = self._total // self._rollouts
        before, steps = sum(shares[:number]) * rollout, shares[number] * rollout
        left = 1.0 - before / self._total
        model.lr_schedule = lambda remaining: (
            self._ppo.learning_rate * max(0.02, left - (steps / self._total) * (1.0 - remaining))
        )
        torch.manual_seed(self._seed * 1000 + number)
        np.random.seed((self._seed * 1000 + number) % 2**32)
        vec_env.seed(self._seed * 100_003 + number * 1009)
        model._last_obs = None  # a round starts with fresh episodes, as it does after an interruption
        recorder = _Recorder(before, self._total, self._progress)
        model.learn(steps, callback=recorder, log_interval=_NEVER, reset_num_timesteps=True)
        state.points += recorder.points
        told = model.logger.name_to_value
        for name, value in (
            ("policy_kl", told["train/approx_kl"]),
            ("policy_entropy", -told["train/entropy_loss"]),
            ("policy_explained_variance", told["train/explained_variance"]),
        ):
            state.points.append(CurvePoint("rl", name, float(before + steps), float(value)))

    def _model(self, vec_env: ListVecEnv) -> MaskablePPO:
        ppo = self._ppo
        rollout = ppo.num_envs * self._env.list_length * ppo.lists_per_rollout
        model = MaskablePPO(
            SetPolicy,
            vec_env,
            learning_rate=ppo.learning_rate,
            n_steps=self._env.list_length * ppo.lists_per_rollout,
            batch_size=min(ppo.batch_size, rollout),
            n_epochs=ppo.epochs,
            gamma=1.0,
            gae_lambda=ppo.gae_lambda,
            ent_coef=ppo.entropy,
            target_kl=ppo.target_kl,
            policy_kwargs={"config": self._policy},
            seed=self._seed,
            device="cpu",
        )
        # SB3's own keeps an empty folder in the temporary one for every call of ``learn``.
        model.set_logger(Logger(None, []))
        return model


def _fit_reader(items: ItemTable, source: RequestSampler, ppo: PpoConfig, seed: int) -> Reader:
    rng = np.random.default_rng([seed, 3])
    return fit_reader(items, [source.sample(rng) for _ in range(ppo.bank)], seed=seed, config=ppo.reader)


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


class _Recorder(BaseCallback):
    """Mean reward of the lists of each rollout, as the stochastic policy earned it, against steps taken."""

    def __init__(self, before: int, total: int, progress: Progress | None) -> None:
        super().__init__()
        self.points: list[CurvePoint] = []
        self._before, self._total, self._report = before, total, progress
        self._returns: list[float] = []

    def _on_step(self) -> bool:
        infos: list[dict[str, Any]] = self.locals["infos"]
        self._returns += [info["episode"]["r"] for info in infos if "episode" in info]
        return True

    def _on_rollout_end(self) -> None:
        done = self._before + self.num_timesteps
        if self._returns:
            self.points.append(CurvePoint("rl", LEARNING, float(done), float(np.mean(self._returns))))
        self._returns.clear()
        if self._report is not None:
            self._report(min(done, self._total), self._total)


@contextmanager
def isolated_torch() -> Iterator[None]:
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
