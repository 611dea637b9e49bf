from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Distribution

from fvrec.config import RlBudget, get_preset
from fvrec.errors import FvrecError, SanityError
from fvrec.rerank.metrics import ndcg
from fvrec.rl.env import EnvConfig
from fvrec.rl.feedback import FeedbackConfig
from fvrec.rl.items import ItemTable
from fvrec.rl.policy import PolicyConfig, SetNetwork
from fvrec.rl.requests import Request, RequestSampler
from fvrec.rl.reward import RewardConfig
from fvrec.rl.train import PpoConfig, TrainedPolicy, check, check_trained, request_sampler, train_on, train_policy
from fvrec.rl.users import sample_users

PLAIN = RewardConfig(redundancy=0.0, novelty=0.0)
SMALL = PpoConfig(num_envs=32, warm="none", bank=256, rounds=2, sharpness=20.0)


class WorseLooksBetter:
    """Two items: the one that the ranker believes in a little more is the one that the user dislikes."""

    pool_size = 2

    def __init__(self, make: Callable[..., Request]) -> None:
        self._make = make

    def sample(self, rng: np.random.Generator) -> Request:
        liked = int(rng.integers(2))
        truth = [float(index == liked) for index in range(2)]
        return self._make([{"color": "red"}, {"color": "blue"}], truth, believed=[0.55 - 0.1 * t for t in truth])


class KnownTruth:
    """Ten items whose relevances are well apart and known; nothing else tells them apart."""

    pool_size = 10

    def __init__(self, make: Callable[..., Request]) -> None:
        self._make = make

    def sample(self, rng: np.random.Generator) -> Request:
        return self._make([{"color": "red"}] * 10, rng.permutation(np.linspace(0.0, 1.0, 10)))


def test_an_obvious_optimum_is_learnt_to_the_last_list(request_factory: Callable[..., Request]) -> None:
    source = WorseLooksBetter(request_factory)
    trained = train_on(source, env=EnvConfig(1, PLAIN), timesteps=6_000, seed=0, ppo=SMALL)
    rng = np.random.default_rng(99)
    requests = [source.sample(rng) for _ in range(200)]
    untrained = TrainedPolicy(SetNetwork(trained.policy), trained.policy, trained.env, 0, 0, ())
    assert not any(r.true_relevance[untrained.ranker().rank(r.pool, 1)[0]] for r in requests)
    assert all(r.true_relevance[trained.ranker().rank(r.pool, 1)[0]] == 1.0 for r in requests)
    assert trained.learning_curve[0].y < 0.5 < 0.8 < trained.learning_curve[-1].y


def test_without_redundancy_and_novelty_training_ends_in_the_relevance_order(
    request_factory: Callable[..., Request],
) -> None:
    source = KnownTruth(request_factory)
    trained = train_on(source, env=EnvConfig(5, PLAIN), timesteps=6_000, seed=0, ppo=SMALL)
    rng = np.random.default_rng(99)
    for request in (source.sample(rng) for _ in range(50)):
        gains = request.true_relevance[trained.ranker().rank(request.pool, 5)]
        assert ndcg(gains, request.true_relevance, 5) == pytest.approx(1.0)


def test_same_seed_same_policy_and_another_seed_another(val_items: ItemTable) -> None:
    budget = RlBudget(train_users=10, test_users=1, timesteps=600, pool_size=15, list_length=5)
    first, again, other = (train_policy(val_items, budget=budget, seed=s, ppo=SMALL) for s in (3, 3, 4))
    assert first.learning_curve == again.learning_curve
    for name, weight in first.network.state_dict().items():
        assert torch.equal(weight, again.network.state_dict()[name])
    assert first.learning_curve != other.learning_curve


def test_a_training_leaves_nothing_in_the_temporary_folder(
    val_items: ItemTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    budget = RlBudget(train_users=10, test_users=1, timesteps=600, pool_size=15, list_length=5)
    train_policy(val_items, budget=budget, seed=3, ppo=SMALL)
    assert list(tmp_path.iterdir()) == []


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("feedback", [None, FeedbackConfig("dwell")])
def test_a_training_that_was_interrupted_ends_where_an_uninterrupted_one_does(
    val_items: ItemTable, tmp_path: Path, feedback: FeedbackConfig | None
) -> None:
    source = RequestSampler(val_items, sample_users(val_items, n=10, split="train", seed=0), 15)
    ppo = PpoConfig(num_envs=16, warm="marginals", warm_epochs=1, bank=64, rounds=3)
    whole: dict[str, Any] = {"env": EnvConfig(5, vary=True, feedback=feedback), "timesteps": 480, "seed": 3, "ppo": ppo}

    def stop(done: int, of: int) -> None:
        if done > of / 3:
            raise StoppedError

    expected = train_on(source, **whole)
    with pytest.raises(StoppedError):
        train_on(source, progress=stop, resume=tmp_path, **whole)
    calls: list[int] = []
    resumed = train_on(source, progress=lambda done, of: calls.append(done), resume=tmp_path, **whole)
    assert calls == [320, 480]
    assert (resumed.learning_curve, resumed.diagnostics) == (expected.learning_curve, expected.diagnostics)
    for name, weight in expected.network.state_dict().items():
        assert torch.equal(weight, resumed.network.state_dict()[name]), name


def test_what_ppo_did_is_told_after_every_round(val_items: ItemTable) -> None:
    source = RequestSampler(val_items, sample_users(val_items, n=10, split="train", seed=0), 15)
    trained = train_on(source, env=EnvConfig(5, PLAIN), timesteps=640, seed=0, ppo=SMALL)
    told = {
        name: [p.x for p in trained.diagnostics if p.curve == name] for name in {p.curve for p in trained.diagnostics}
    }
    assert told.pop("policy_judged") == [0.0, 320.0, 640.0]
    assert told == {f"policy_{name}": [320.0, 640.0] for name in ("kl", "entropy", "explained_variance")}
    entropies = [point.y for point in trained.diagnostics if point.curve == "policy_entropy"]
    assert all(0 < entropy <= np.log(15) for entropy in entropies)


def test_a_policy_for_feeds_is_trained_beside_the_other_and_answers_its_feed(val_items: ItemTable) -> None:
    budget = RlBudget(train_users=10, test_users=1, timesteps=600, feed_timesteps=600, pool_size=15, list_length=5)
    trained = train_policy(val_items, budget=budget, seed=3, ppo=SMALL)
    assert trained.feed is not None
    assert (trained.env.mode, trained.feed.env.mode, trained.feed.reader) == ("list", "feed", trained.reader)
    without = train_policy(val_items, budget=replace(budget, feed_timesteps=0), seed=3, ppo=SMALL)
    assert without.feed is None
    for name, weight in trained.network.state_dict().items():
        assert torch.equal(weight, without.network.state_dict()[name])


def test_training_leaves_the_process_as_it_was(val_items: ItemTable) -> None:
    budget = RlBudget(train_users=5, test_users=1, timesteps=1, pool_size=15, list_length=5)
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    np.random.seed(5)
    expected = torch.rand(1), np.random.rand()
    torch.manual_seed(5)
    np.random.seed(5)
    calls: list[tuple[int, int]] = []
    train_policy(val_items, budget=budget, seed=0, ppo=SMALL, progress=lambda done, of: calls.append((done, of)))
    assert (torch.rand(1), np.random.rand()) == expected
    assert torch.get_num_threads() == threads
    assert Distribution._validate_args
    assert calls == [(320, 320)]


def test_a_pool_larger_than_the_catalogue_shrinks_to_it_but_not_below_the_list(
    items_factory: Callable[..., ItemTable],
) -> None:
    budget = RlBudget(train_users=5, test_users=1, timesteps=1, pool_size=50, list_length=5)
    assert request_sampler(items_factory(12, seed=0), budget, seed=0).pool_size == 12
    with pytest.raises(FvrecError, match="allowed: 1 to 3"):
        train_policy(items_factory(3, seed=0), budget=budget, seed=0)
    with pytest.raises(FvrecError, match="timesteps"):
        train_policy(items_factory(12, seed=0), budget=replace(budget, timesteps=0), seed=0)


def test_the_smoke_budget_passes_its_own_check(val_items: ItemTable) -> None:
    budget = get_preset("smoke").rl
    trained = train_policy(val_items, budget=budget, seed=7)
    check_trained(trained, val_items, budget=budget)


def test_a_policy_that_looks_at_positions_only_is_stopped(val_items: ItemTable) -> None:
    """Every gain is equal: the first positions win, always."""
    network = Blind(PolicyConfig())
    with pytest.raises(SanityError, match="same positions"):
        check(as_trained(network), requests_of(val_items), seed=0)


def test_a_policy_that_is_worse_than_chance_is_stopped(val_items: ItemTable) -> None:
    network = Contrary(PolicyConfig())
    with pytest.raises(SanityError, match="no more than random"):
        check(as_trained(network), requests_of(val_items), seed=0)


class Blind(SetNetwork):
    def gains(self, candidates: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(super().gains(candidates))


class Contrary(SetNetwork):
    def gains(self, candidates: torch.Tensor) -> torch.Tensor:
        return -super().gains(candidates)


def as_trained(network: SetNetwork) -> TrainedPolicy:
    return TrainedPolicy(network.eval(), PolicyConfig(), EnvConfig(), 0, 0, ())


def requests_of(items: ItemTable) -> list[Request]:
    users = sample_users(items, n=30, split="train", seed=0)
    return RequestSampler(items, users, 30).of_every_user(seed=0)
