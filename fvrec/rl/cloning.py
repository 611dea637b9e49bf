"""Before reinforcement: imitate a search on beliefs, or fit true marginal gains; then the critic fits the returns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fvrec.rl.bank import Bank
from fvrec.rl.coaching import potential
from fvrec.rl.env import EnvConfig
from fvrec.rl.episodes import draw_weights
from fvrec.rl.features import ListFeatures
from fvrec.rl.feeds import replanning
from fvrec.rl.policy import SetNetwork
from fvrec.rl.reward import ListReward
from fvrec.rl.search import Problem, greedy, swap
from fvrec.rl.serve import best_of

LISTS_AT_ONCE = 64


def scale_inputs(network: SetNetwork, bank: Bank, env: EnvConfig, *, seed: int) -> None:
    """Scale the network's inputs by what it sees along greedy lists on the bank."""
    rng = np.random.default_rng([seed, 23])
    rows = rng.integers(len(bank), size=min(4 * LISTS_AT_ONCE, len(bank)))
    features, truth = ListFeatures(bank, len(rows), env.list_length, env.feedback), ListReward(bank, len(rows))
    weights, there, seen = _weights(env, len(rows), rng), np.ones(len(rows), dtype=bool), []
    features.start(np.arange(len(rows)), rows, weights[0], weights[1])
    truth.start(np.arange(len(rows)), rows, weights[0], weights[1])
    for _ in range(env.list_length):
        seen.append(torch.from_numpy(features.observe()))
        with torch.no_grad():
            _step(features, truth, best_of(network, features), env, rng, there)
    network.scale_inputs(torch.stack(seen))


def clone(network: SetNetwork, bank: Bank, env: EnvConfig, *, epochs: int, lr: float, seed: int) -> None:
    """Imitate a search on beliefs, which knows what the policy may know: cross-entropy of its choices.

    Lists: greedy + exchange, along its own lists. Feeds: replanning on the posterior after each answer, along the lists
    that the network itself would show (DAgger; Ross, Gordon and Bagnell, 2011).
    """
    if env.feedback:
        _clone_replanning(network, bank, env, epochs=epochs, lr=lr, seed=seed)
        return

    def loss(
        features: ListFeatures, rows: NDArray[np.int64], weights: NDArray[np.float64], rng: np.random.Generator
    ) -> list[Tensor]:
        problem = Problem.of(bank, rows, weights[0], weights[1])
        lists = swap(problem, greedy(problem, env.list_length), sweeps=1, shortlist=15)
        losses = []
        for position in range(env.list_length):
            logits, _ = network(torch.from_numpy(features.observe()))
            masked = logits.masked_fill(~torch.from_numpy(features.available), -1e9)
            losses.append(functional.cross_entropy(masked, torch.from_numpy(lists[:, position])))
            features.append(lists[:, position])
        return losses

    _fit(network, bank, env, loss, epochs=epochs, lr=lr, seed=seed)


def _clone_replanning(network: SetNetwork, bank: Bank, env: EnvConfig, *, epochs: int, lr: float, seed: int) -> None:
    teacher = replanning(bank, env.reward, env.list_length)

    def loss(
        features: ListFeatures, rows: NDArray[np.int64], weights: NDArray[np.float64], rng: np.random.Generator
    ) -> list[Tensor]:
        choose, truth = teacher.on(Problem.of(bank, rows, weights[0], weights[1])), ListReward(bank, len(rows))
        truth.start(np.arange(len(rows)), rows, weights[0], weights[1])
        lists, there = np.zeros((len(rows), 0), dtype=np.int64), np.ones(len(rows), dtype=bool)
        losses = []
        for _ in range(env.list_length):
            logits, _ = network(torch.from_numpy(features.observe()))
            masked = logits.masked_fill(~torch.from_numpy(features.available), -1e9)
            target = torch.from_numpy(choose(features, lists))
            each = functional.cross_entropy(masked, target, reduction="none") * torch.from_numpy(there)
            losses.append(each.sum() / max(1, int(there.sum())))
            chosen = masked.detach().argmax(dim=1).numpy()
            lists = np.concatenate([lists, chosen[:, None]], axis=1)
            there, _, _ = _step(features, truth, chosen, env, rng, there)
        return losses

    _fit(network, bank, env, loss, epochs=epochs, lr=lr, seed=seed)


def fit_marginals(network: SetNetwork, bank: Bank, env: EnvConfig, *, epochs: int, lr: float, seed: int) -> None:
    """Fit each candidate's gain to its true marginal reward along the network's own lists: supervised, no return."""

    def loss(
        features: ListFeatures, rows: NDArray[np.int64], weights: NDArray[np.float64], rng: np.random.Generator
    ) -> list[Tensor]:
        truth = ListReward(bank, len(rows))
        truth.start(np.arange(len(rows)), rows, weights[0], weights[1])
        losses, there = [], np.ones(len(rows), dtype=bool)
        for _ in range(env.list_length):
            gains = network.gains(torch.from_numpy(features.observe()))
            available = torch.from_numpy(features.available.copy())
            available &= torch.from_numpy(there)[:, None]
            error = (gains - torch.from_numpy(truth.marginals())) * available
            losses.append(error.pow(2).sum() / available.sum().clamp(min=1))
            noisy = gains.detach().numpy() + 0.03 * rng.gumbel(size=gains.shape)
            chosen = np.where(features.available, noisy, -np.inf).argmax(axis=1)
            there, _, _ = _step(features, truth, chosen, env, rng, there)
        return losses

    _fit(network, bank, env, loss, epochs=epochs, lr=lr, seed=seed)


def warm_critic(network: SetNetwork, bank: Bank, env: EnvConfig, *, epochs: int, lr: float, seed: int) -> None:
    """Fit the value head alone to what PPO's rewards sum to under the network's own choices.

    Those are shaped by a potential (``fvrec.rl.coaching``): what is still to come, less the potential of where it is.
    """
    shape = potential(bank, env)

    def loss(
        features: ListFeatures, rows: NDArray[np.int64], weights: NDArray[np.float64], rng: np.random.Generator
    ) -> list[Tensor]:
        truth = ListReward(bank, len(rows))
        truth.start(np.arange(len(rows)), rows, weights[0], weights[1])
        values, rewards, present, there = [], [], [], np.ones(len(rows), dtype=bool)
        for position in range(env.list_length):
            values.append(network(torch.from_numpy(features.observe()))[1])
            present.append(there)
            with torch.no_grad():
                chosen = best_of(network, features)
            there, reward, hazard = _step(features, truth, chosen, env, rng, there)
            shaped = reward + (1.0 - hazard) * shape[rows, position + 1] - shape[rows, position]
            rewards.append(np.where(present[-1], shaped, 0.0))
        to_come = torch.from_numpy(np.cumsum(np.stack(rewards)[::-1], axis=0)[::-1].astype(np.float32))
        there_then = torch.from_numpy(np.stack(present))
        errors = (torch.stack(values) - to_come).pow(2) * there_then
        return [errors.sum() / there_then.sum()]

    _fit(network, bank, env, loss, epochs=epochs, lr=lr, seed=seed, only=network.critic)


def _step(
    features: ListFeatures,
    truth: ListReward,
    chosen: NDArray[np.int64],
    env: EnvConfig,
    rng: np.random.Generator,
    there: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float64]]:
    """Add ``chosen [B]``, in a feed with simulated answers.

    Who stays, what was earned by those still there, and how likely each was to leave (0 in a list).
    """
    answer, stays, hazard = None, there, np.zeros(len(chosen))
    if env.feedback:
        interest = truth.interest(chosen, env.feedback.boredom)
        answer = env.feedback.answer(interest, rng.random(len(chosen)), rng.normal(size=len(chosen)))
        hazard = env.feedback.leave * (1.0 - env.feedback.appeal(interest))
        stays = there & (rng.random(len(chosen)) >= hazard)
    features.append(chosen, answer)
    return stays, truth.append(chosen).reward * there, hazard


def _fit(
    network: SetNetwork,
    bank: Bank,
    env: EnvConfig,
    loss: Callable[[ListFeatures, NDArray[np.int64], NDArray[np.float64], np.random.Generator], list[Tensor]],
    *,
    epochs: int,
    lr: float,
    seed: int,
    only: torch.nn.Module | None = None,
) -> None:
    """``epochs`` passes over the bank, with a lambda and a mu for each list; a batch of lists a step."""
    rng = np.random.default_rng([seed, 21])
    optimizer = torch.optim.Adam((only or network).parameters(), lr=lr)
    steps = max(1, epochs * -(-len(bank) // LISTS_AT_ONCE))
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * (1.0 - step / steps)
        rows = rng.integers(len(bank), size=min(LISTS_AT_ONCE, len(bank)))
        features = ListFeatures(bank, len(rows), env.list_length, env.feedback)
        weights = _weights(env, len(rows), rng)
        features.start(np.arange(len(rows)), rows, weights[0], weights[1])
        mean = torch.stack(loss(features, rows, weights, rng)).mean()
        if not mean.requires_grad:
            return
        optimizer.zero_grad()
        mean.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()


def _weights(env: EnvConfig, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    if env.vary:
        return np.array([draw_weights(rng) for _ in range(count)]).T
    return np.tile([[env.reward.redundancy], [env.reward.novelty]], (1, count))
