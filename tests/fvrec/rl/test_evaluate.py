from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fvrec.config import RlBudget
from fvrec.errors import FvrecError
from fvrec.rerank.diversify import BaseRank, Mmr
from fvrec.rl import compare
from fvrec.rl import evaluate as evaluate_module
from fvrec.rl.bank import Bank
from fvrec.rl.compare import NDCG_KEPT, WEIGHTS_TRIED, default_weight, hypervolume
from fvrec.rl.env import EnvConfig, ListEnv
from fvrec.rl.evaluate import RlEvaluation, choose_own_weight, evaluate, evaluate_policy, tune_mmr
from fvrec.rl.items import ItemTable
from fvrec.rl.policy import PolicyConfig, SetNetwork
from fvrec.rl.requests import Request, RequestSampler
from fvrec.rl.reward import RewardConfig
from fvrec.rl.scoring import RandomRank, rank_all, score_lists
from fvrec.rl.serve import SWAPS, PolicyRanker
from fvrec.rl.train import PpoConfig, TrainedPolicy, train_policy, training_split
from fvrec.rl.users import sample_population, sample_users
from tests.fvrec.rl.conftest import make_items

REWARD = RewardConfig()
DIVERSIFIERS = ("mmr", "msd", "dpp", "ssd")
SEARCHES = ("denoised_beam", "denoised_swap")


@pytest.fixture(scope="module")
def test_requests(test_items: ItemTable) -> list[Request]:
    crowd = sample_population(test_items, n=150, split="test", seed=7)
    return RequestSampler(test_items, crowd.users, 40, crowd.interactions).of_every_user(seed=7)


BUDGET = RlBudget(train_users=100, test_users=150, timesteps=8_000, pool_size=40)


@pytest.fixture(scope="module")
def trained(val_items: ItemTable) -> TrainedPolicy:
    return train_policy(val_items, budget=BUDGET, seed=7, ppo=PpoConfig.sized(8_000))


@pytest.fixture(scope="module")
def evaluation(trained: TrainedPolicy, val_items: ItemTable, test_items: ItemTable) -> RlEvaluation:
    return evaluate_policy(trained, val_items=val_items, test_items=test_items, budget=BUDGET, source="hand")


def test_the_policy_beats_base_and_random_order_on_users_and_items_it_never_saw(evaluation: RlEvaluation) -> None:
    for other in ("base_rank", "random"):
        gain = evaluation.metric("true_reward_difference", "rl", against=other)
        assert gain.ci_low is not None
        assert gain.ci_low > 0
        assert gain.n == 150


def test_what_training_adds_is_measured_against_the_rule_it_starts_from(evaluation: RlEvaluation) -> None:
    gain = evaluation.metric("true_reward_difference", "rl", against="greedy")
    levels = [evaluation.metric("true_reward", strategy).value for strategy in ("rl", "greedy")]
    assert gain.value == pytest.approx(levels[0] - levels[1])
    assert gain.n == 150
    assert levels[1] > evaluation.metric("true_reward", "base_rank").value


def test_an_untrained_policy_is_the_greedy_one(test_requests: list[Request]) -> None:
    untrained = PolicyRanker(SetNetwork(PolicyConfig(hidden=8)))
    found = evaluate(test_requests[:20], policy=untrained, mmr=Mmr(), k=10, reward=REWARD, seed=0)
    gain = found.metric("true_reward_difference", "rl", against="greedy")
    assert (gain.value, gain.ci_low, gain.ci_high) == (0.0, 0.0, 0.0)


def test_it_gives_more_diverse_lists_than_base_for_little_relevance(evaluation: RlEvaluation) -> None:
    base, policy = (
        {m: evaluation.metric(m, s).value for m in ("ndcg", "ild", "coverage")} for s in ("base_rank", "rl")
    )
    assert policy["ild"] > base["ild"]
    assert policy["coverage"] > base["coverage"]
    assert policy["ndcg"] > 0.95 * base["ndcg"]


def test_every_strategy_has_every_number_with_its_interval(evaluation: RlEvaluation) -> None:
    levels = [metric for metric in evaluation.metrics if not metric.metric.endswith(("_difference", "_p_holm"))]
    everybody = (*DIVERSIFIERS, *SEARCHES, "base_rank", "greedy", "rl", "rl_swap", "random", "oracle")
    assert {(m.strategy, m.metric) for m in levels} == {
        *((strategy, name) for strategy in everybody for name in ("true_reward", "ndcg", "ild", "coverage")),
        *((strategy, "of_oracle") for strategy in everybody if strategy != "oracle"),
        *((strategy, "hypervolume") for strategy in ("mmr", "msd", "dpp", "ssd", "rl", "rl_swap")),
    }
    for metric in evaluation.metrics:
        assert (metric.stage, metric.split, metric.k, metric.source) == ("rl", "test", 10, "hand")
        if metric.metric.endswith("_p_holm"):
            continue
        assert metric.ci_low is not None
        assert metric.ci_high is not None
        assert metric.ci_low <= metric.value <= metric.ci_high
    difference = evaluation.metric("ild_difference", "rl", against="mmr").value
    assert difference == pytest.approx(evaluation.metric("ild", "rl").value - evaluation.metric("ild", "mmr").value)
    with pytest.raises(FvrecError, match="no such metric"):
        evaluation.metric("ndcg", "lottery")


def test_the_curve_trades_relevance_for_diversity_and_ends_at_base(evaluation: RlEvaluation) -> None:
    assert {point.curve for point in evaluation.curves} == {f"{n}_tradeoff" for n in (*DIVERSIFIERS, "rl", "rl_swap")}
    mine = sorted((p for p in evaluation.curves if p.curve == "rl_tradeoff"), key=lambda point: point.params["weight"])
    assert mine[0].x > mine[-1].x
    assert mine[0].y < mine[-1].y
    points = [point for point in evaluation.curves if point.curve == "mmr_tradeoff"]
    points = sorted(points, key=lambda point: point.params["trade_off"])
    assert points[0].x < points[-1].x
    assert points[0].y > points[-1].y
    assert points[-1].x == pytest.approx(evaluation.metric("ndcg", "base_rank").value)


def test_the_hypervolume_is_that_of_the_curve(evaluation: RlEvaluation) -> None:
    reference = (evaluation.metric("ndcg", "base_rank").value - 0.1, 0.0)
    covered = {}
    for name in ("rl", "mmr", "msd", "dpp", "ssd"):
        points = [(point.x, point.y) for point in evaluation.curves if point.curve == f"{name}_tradeoff"]
        found = evaluation.metric("hypervolume", name, points=10)
        assert found.value == pytest.approx(hypervolume(points, reference))
        covered[name] = found.value
    lead = evaluation.metric("hypervolume_difference", "rl", against="mmr")
    assert lead.value == pytest.approx(covered["rl"] - covered["mmr"])


def test_a_share_of_the_oracle_is_that_of_the_means(evaluation: RlEvaluation) -> None:
    reward = {name: evaluation.metric("true_reward", name).value for name in ("rl", "random", "oracle")}
    assert evaluation.metric("of_oracle", "rl").value == pytest.approx(reward["rl"] / reward["oracle"])
    assert evaluation.metric("of_oracle", "random").value < evaluation.metric("of_oracle", "rl").value < 1.0


def test_nobody_earns_more_than_the_oracle_and_chance_is_told_apart(evaluation: RlEvaluation) -> None:
    best = evaluation.metric("true_reward", "oracle").value
    for strategy in ("base_rank", "greedy", "rl", "rl_swap", *SEARCHES):
        assert evaluation.metric("true_reward", strategy).value < best
    assert evaluation.metric("true_reward_p_holm", "rl", against="random").value < 1e-6
    with pytest.raises(FvrecError, match="no such metric"):
        evaluation.metric("true_reward_p_holm", "rl", against="oracle")


def test_a_feed_is_judged_against_feeds_that_search(val_items: ItemTable, test_items: ItemTable) -> None:
    budget = RlBudget(train_users=20, test_users=25, timesteps=600, feed_timesteps=600, pool_size=20, list_length=5)
    small = PpoConfig(num_envs=32, warm="marginals", warm_epochs=2, bank=128, rounds=1)
    trained = train_policy(val_items, budget=budget, seed=7, ppo=small)
    found = evaluate_policy(trained, val_items=val_items, test_items=test_items, budget=budget)
    rows = {(m.metric, m.strategy, m.params.get("against")): m for m in found.metrics if m.mode == "feed"}
    assert set(rows) == {
        *(("true_reward", name, None) for name in ("rl", "adaptive_greedy", "replanning")),
        *(("true_reward_difference", "rl", name) for name in ("adaptive_greedy", "replanning")),
    }
    levels = [rows["true_reward", name, None].value for name in ("rl", "replanning")]
    gain = rows["true_reward_difference", "rl", "replanning"]
    assert gain.value == pytest.approx(levels[0] - levels[1])
    assert gain.n == 25


def test_some_lists_are_kept_for_the_report(evaluation: RlEvaluation, test_requests: list[Request]) -> None:
    kept = [row for row in evaluation.rankings if row.query_id == test_requests[0].user_id and row.strategy == "rl"]
    assert [row.position for row in kept] == list(range(1, 11))
    assert {row.item_id for row in kept} <= set(test_requests[0].pool.item_ids)
    assert len({row.query_id for row in evaluation.rankings}) == 10
    assert {user.split for user in evaluation.population.users} == {"test"}
    assert {user.source for user in evaluation.population.users} == {"hand"}
    assert len(evaluation.population.users) == 150


def test_true_reward_is_what_the_environment_pays(test_items: ItemTable) -> None:
    """The same request, played step by step through the environment and scored as a finished list."""
    sampler = RequestSampler(test_items, sample_users(test_items, n=4, split="test", seed=1), 20)
    bank = Bank.draw(sampler, 5, seed=0)
    env = ListEnv(bank, EnvConfig(6, REWARD))
    _, info = env.reset(seed=3)
    row = int(np.random.Generator(np.random.PCG64(np.random.SeedSequence(3))).integers(5))
    seen_by_env = bank.requests[row]
    assert info["user_id"] == seen_by_env.user_id
    order = BaseRank().rank(seen_by_env.pool, 6)
    paid = sum(env.step(action)[1] for action in order)
    scored = score_lists([seen_by_env], [order], REWARD).true_reward[0]
    assert paid == pytest.approx(scored, abs=1e-5)


def test_scores_worked_out_by_hand(request_factory: Callable[..., Request]) -> None:
    request = request_factory([{"color": "red"}, {"color": "red"}, {"color": "blue"}], [0.0, 1.0, 0.5])
    scores = score_lists([request], [np.array([1, 0])], RewardConfig(0.1, 0.0))
    # Relevance 1, then its twin: -0.1. Ideal gains 1 and 0.5 / log2(3). One of two colours. Right angles.
    assert scores.true_reward.tolist() == pytest.approx([0.9])
    assert scores.ndcg.tolist() == pytest.approx([1 / (1 + 0.5 / np.log2(3))])
    assert scores.coverage.tolist() == [0.5]
    assert scores.ild.tolist() == [1.0]


def test_tuning_picks_the_best_trade_off_for_the_reward(test_requests: list[Request]) -> None:
    some = test_requests[:40]
    relevance_only = tune_mmr(some, 10, RewardConfig(0.0, 0.0))
    spread = tune_mmr(some, 10, RewardConfig(5.0, 0.0))
    assert spread.trade_off < relevance_only.trade_off

    def earned(mmr: Mmr) -> float:
        return float(score_lists(some, rank_all(mmr, some, 10), RewardConfig(5.0, 0.0)).true_reward.mean())

    assert earned(spread) >= max(earned(Mmr(t)) for t in (0.2, 0.5, 0.8, 1.0))


def test_random_order_is_repeatable_and_differs_between_pools(test_requests: list[Request]) -> None:
    lists = [RandomRank(1).rank(request.pool, 10).tolist() for request in test_requests[:5]]
    assert lists == [RandomRank(1).rank(request.pool, 10).tolist() for request in test_requests[:5]]
    assert len({tuple(chosen) for chosen in lists}) == 5
    assert lists[0] != RandomRank(2).rank(test_requests[0].pool, 10).tolist()


def test_nothing_to_evaluate_is_an_error() -> None:
    with pytest.raises(FvrecError, match="no requests"):
        evaluate([], policy=BaseRank(), mmr=Mmr(), k=10, reward=REWARD, seed=0)


def test_a_policys_own_weight_is_the_largest_that_keeps_bases_ndcg(
    trained: TrainedPolicy, val_items: ItemTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = choose_own_weight(trained, val_items, BUDGET)
    assert chosen.weight in WEIGHTS_TRIED
    assert chosen.kept >= NDCG_KEPT
    for line, weight in ((0.0, max(WEIGHTS_TRIED)), (9.0, min(WEIGHTS_TRIED))):
        monkeypatch.setattr(compare, "NDCG_KEPT", line)
        other = choose_own_weight(trained, val_items, BUDGET)
        assert other.weight == weight
        assert (other.kept < chosen.kept) is (weight > chosen.weight)
    monkeypatch.undo()
    recorded = {row.metric: row for row in chosen.metrics(trained, source="hand")}
    assert recorded["own_weight"].value == chosen.weight
    kept = recorded["own_weight_ndcg_kept"]
    assert (kept.value, kept.params, kept.split) == (chosen.kept, {"asked": NDCG_KEPT}, "val")


def test_it_is_chosen_on_items_and_users_that_taught_the_policy_nothing(
    trained: TrainedPolicy, val_items: ItemTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Request] = []

    def remember(_: PolicyRanker, requests: list[Request], *__: object) -> tuple[float, dict[float, float]]:
        asked.extend(requests)
        return 0.01, {0.01: 1.0}

    monkeypatch.setattr(evaluate_module, "default_weight", remember)
    choose_own_weight(trained, val_items, BUDGET)
    learnt, _ = training_split(val_items, BUDGET, seed=trained.seed)
    offered = {item_id for request in asked for item_id in request.pool.item_ids}
    assert offered
    assert not offered & {*learnt.item_ids}
    users = {request.user_id: request.true_relevance.tobytes() for request in asked}
    _, held = training_split(val_items, BUDGET, seed=trained.seed)
    judges = sample_population(held, n=BUDGET.test_users, split="val", seed=trained.seed).users
    judged = RequestSampler(held, judges, BUDGET.pool_size).of_every_user(seed=trained.seed)
    assert not {*users.values()} & {request.true_relevance.tobytes() for request in judged}


def test_lists_and_feeds_are_at_the_weight_given(trained: TrainedPolicy) -> None:
    both = replace(trained, feed=trained).at(0.02)
    assert both.feed is not None
    for one in (both, both.feed):
        assert one.env.reward == RewardConfig(0.02, 0.02)
    assert (both.ranker().redundancy, both.ranker().novelty) == (0.02, 0.02)


@pytest.mark.parametrize("seed", [3, 4])
def test_at_its_own_weight_it_loses_little_of_bases_ndcg_to_users_and_items_it_never_saw(seed: int) -> None:
    budget = RlBudget(train_users=200, test_users=200, timesteps=6_000, pool_size=50)
    val_items, test_items = (make_items(300, seed=100 * seed + part, accuracy=0.65) for part in (1, 2))
    trained = train_policy(val_items, budget=budget, seed=seed)
    own = trained.at(choose_own_weight(trained, val_items, budget).weight)
    users = sample_population(test_items, n=200, split="test", seed=seed).users
    requests = RequestSampler(test_items, users, 50).of_every_user(seed=seed)
    base = score_lists(requests, rank_all(BaseRank(), requests, 10), REWARD)
    for ranker in (own.ranker(), own.ranker(swaps=SWAPS)):
        found = score_lists(requests, rank_all(ranker, requests, 10), REWARD)
        assert found.ndcg.mean() > 0.98 * base.ndcg.mean()
        assert found.ild.mean() > base.ild.mean()
        assert found.coverage.mean() > base.coverage.mean()


def test_where_nothing_is_relevant_no_weight_can_be_chosen(test_requests: list[Request]) -> None:
    bare = [replace(one, true_relevance=np.zeros_like(one.true_relevance)) for one in test_requests[:3]]
    policy = PolicyRanker(SetNetwork(PolicyConfig(hidden=8)))
    with pytest.raises(FvrecError, match="nothing is relevant"):
        default_weight(policy, bare, Bank.of(bare), Bank.of(bare), 10)
