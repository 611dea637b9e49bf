from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from fvrec.errors import FvrecError
from fvrec.rerank.diversify import BaseRank
from fvrec.rerank.pool import Pool
from fvrec.rl.episodes import WEIGHT_LIMIT
from fvrec.rl.features import FEATURES, ListFeatures
from fvrec.rl.items import ItemTable
from fvrec.rl.policy import PolicyConfig, SetNetwork
from fvrec.rl.requests import Request, RequestSampler
from fvrec.rl.reward import RewardConfig
from fvrec.rl.serve import PolicyRanker, bank_of, greedy_ranker
from fvrec.rl.users import sample_users


def rough_network(seed: int = 0) -> SetNetwork:
    """A network whose every weight is random: nothing holds by its initial zeros."""
    torch.manual_seed(seed)
    network = SetNetwork(PolicyConfig())
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.1)
    return network


def permuted(pool: Pool, order: np.ndarray) -> Pool:
    return Pool(
        tuple(pool.item_ids[i] for i in order),
        pool.relevance[order],
        pool.embeddings[order],
        pool.values[order],
        pool.field_match[order],
        pool.confidence[order] if pool.confidence is not None else None,
    )


@pytest.fixture(scope="module")
def pools(val_items: ItemTable) -> list[Pool]:
    sampler = RequestSampler(val_items, sample_users(val_items, n=5, split="val", seed=0), 25)
    return [request.pool for request in sampler.of_every_user(seed=0)]


def test_permuting_a_pool_permutes_the_actions_and_nothing_else(pools: list[Pool]) -> None:
    ranker = PolicyRanker(rough_network())
    for seed, pool in enumerate(pools):
        order = np.random.default_rng(seed).permutation(len(pool))
        before, after = ranker.rank(pool, 10), ranker.rank(permuted(pool, order), 10)
        assert [pool.item_ids[i] for i in before] == [pool.item_ids[order[i]] for i in after]


def test_the_value_does_not_depend_on_the_order_of_candidates(pools: list[Pool]) -> None:
    network = rough_network()
    features = started(pools, 10)
    features.append(np.arange(5))
    seen = torch.from_numpy(features.observe())
    order = torch.randperm(25, generator=torch.Generator().manual_seed(0))
    logits, value = network(seen)
    shuffled_logits, shuffled_value = network(seen[:, order])
    torch.testing.assert_close(logits[:, order], shuffled_logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(value, shuffled_value)


def test_lists_hold_distinct_items_for_any_pool_size_and_length(pools: list[Pool]) -> None:
    ranker = PolicyRanker(rough_network())
    for size, k in ((1, 1), (2, 2), (25, 25), (7, 3)):
        pool = permuted(pools[0], np.arange(size))
        chosen = ranker.rank(pool, k)
        assert len(set(chosen.tolist())) == k
        assert set(chosen.tolist()) <= set(range(size))


def test_without_redundancy_and_novelty_the_untrained_policy_is_the_relevance_order(pools: list[Pool]) -> None:
    ranker = PolicyRanker(SetNetwork(PolicyConfig()), redundancy=0.0, novelty=0.0)
    for pool in pools:
        believed = pool.relevance[ranker.rank(pool, 10)]
        np.testing.assert_allclose(believed, pool.relevance[BaseRank().rank(pool, 10)])


def test_without_redundancy_and_novelty_any_policy_is_the_relevance_order(pools: list[Pool]) -> None:
    ranker = PolicyRanker(rough_network(), redundancy=0.0, novelty=0.0)
    for pool in pools:
        believed = pool.relevance[ranker.rank(pool, 10)]
        np.testing.assert_allclose(believed, pool.relevance[BaseRank().rank(pool, 10)])


def test_weights_outside_the_trained_range_count_as_its_end(pools: list[Pool]) -> None:
    ranker = PolicyRanker(rough_network())
    far, end = ranker.at(redundancy=50.0, novelty=7.0), ranker.at(redundancy=WEIGHT_LIMIT, novelty=WEIGHT_LIMIT)
    assert (far.redundancy, far.novelty) == (WEIGHT_LIMIT, WEIGHT_LIMIT)
    assert [far.rank(pool, 10).tolist() for pool in pools] == [end.rank(pool, 10).tolist() for pool in pools]
    for weight in (-0.1, float("nan"), float("inf")):
        with pytest.raises(FvrecError, match="negative or not finite"):
            ranker.at(redundancy=weight)


@pytest.mark.parametrize("network", [SetNetwork(PolicyConfig()), rough_network()], ids=["untrained", "rough"])
def test_of_a_pool_that_knows_nothing_a_list_can_still_be_made(
    request_factory: Callable[..., Request], network: SetNetwork
) -> None:
    pool = request_factory([{}] * 6, [0.5] * 6).pool
    chosen = PolicyRanker(network, swaps=2).rank(pool, 4)
    assert len(set(chosen.tolist())) == 4
    features = started([pool], 4)
    for _ in range(4):
        assert np.isfinite(features.observe()).all()
        features.append(np.flatnonzero(features.available[0])[:1])


def test_inputs_are_brought_to_one_scale_and_constant_columns_stay(pools: list[Pool]) -> None:
    features = started(pools, 10)
    seen = torch.from_numpy(features.observe())
    network = SetNetwork(PolicyConfig())
    network.scale_inputs(seen)
    center, spread = network.get_buffer("center"), network.get_buffer("spread")
    scaled = ((seen - center) / spread).flatten(0, 1)
    at = FEATURES.index("relevance")
    assert scaled[:, at].mean() == pytest.approx(0.0, abs=1e-5)
    assert scaled[:, at].std() == pytest.approx(1.0, abs=1e-4)
    for name in ("available", "progress", "redundancy_weight"):
        torch.testing.assert_close(scaled[:, FEATURES.index(name)], seen.flatten(0, 1)[:, FEATURES.index(name)])


def test_with_redundancy_it_avoids_a_twin(request_factory: Callable[..., Request]) -> None:
    twin = {"color": "red", "category": "dress"}
    pool = request_factory([twin, twin, {"color": "blue", "category": "jeans"}], [0.9, 0.85, 0.7]).pool
    greedy = greedy_ranker(RewardConfig(redundancy=0.5, novelty=0.0))
    assert greedy.rank(pool, 3).tolist() == [0, 2, 1]


def test_the_greedy_start_takes_the_largest_estimated_gain(request_factory: Callable[..., Request]) -> None:
    party, casual = {"color": "red", "style": "party"}, {"color": "blue", "style": "casual"}
    pool = request_factory([party, party, casual, {}], [0.9, 0.8, 0.5, 0.6]).pool
    # Start: .9 + .1 first. Then, at discount .63: the twin .50 - .2; casual .32 - 0 + .1; nothing known .38.
    # Third, at discount .5: the twin .4 - .2; nothing known .3.
    greedy = greedy_ranker(RewardConfig(redundancy=0.2, novelty=0.2))
    assert greedy.name == "greedy"
    assert greedy.rank(pool, 4).tolist() == [0, 2, 3, 1]


def test_the_greedy_start_leaves_the_random_stream_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    greedy_ranker(RewardConfig())
    torch.testing.assert_close(torch.rand(3), expected)


def started(pools: list[Pool], k: int, weight: float = 0.2) -> ListFeatures:
    rows = np.arange(len(pools))
    features = ListFeatures(bank_of(pools, None), len(pools), k)
    features.start(rows, rows, np.full(len(rows), weight), np.full(len(rows), weight))
    return features


def test_features_of_a_batch_are_those_of_each_pool_alone(pools: list[Pool]) -> None:
    together = started(pools, 10)
    alone = [started([pool], 10) for pool in pools]
    for step in range(3):
        actions = np.arange(len(pools)) + 5 * step
        together.append(actions)
        for row, features in enumerate(alone):
            features.append(actions[row : row + 1])
    for row, features in enumerate(alone):
        np.testing.assert_allclose(together.observe()[row], features.observe()[0], atol=1e-5)


def test_features_say_what_a_candidate_would_add(request_factory: Callable[..., Request]) -> None:
    red, blue = {"color": "red", "style": "party"}, {"color": "blue", "style": "party"}
    features = started([request_factory([red, red, blue, {}], [0.4, 0.4, 0.4, 0.4]).pool], 4)
    features.append(np.array([0]))
    seen = dict(zip(FEATURES, features.observe()[0].T.tolist(), strict=True))
    assert seen["max_similarity"] == pytest.approx([1.0, 1.0, 0.5, 0.0])
    assert seen["new_style"] == [0.0, 0.0, 0.0, 0.0]
    assert seen["centrality"] == pytest.approx([0.625, 0.625, 0.5, 0.0])  # (1 + 1 + 1/2 + 0) / 4 for the first
    assert seen["relevance_z"] == [0.0] * 4
    assert seen["progress"] == [0.25] * 4
    assert seen["available"] == [0.0, 1.0, 1.0, 1.0]
    # At the second place: discount .63 of .4, less .2 of the likeness.
    assert seen["gain"] == pytest.approx([0.4 / np.log2(3) - 0.2 * s for s in (1.0, 1.0, 0.5, 0.0)], abs=1e-6)


def test_a_list_that_starts_anew_forgets_what_was_in_it(pools: list[Pool]) -> None:
    features, fresh = started(pools, 10), started(pools, 10)
    for step in range(4):
        features.append(np.arange(len(pools)) + 5 * step)
    features.start(np.array([2]), np.array([2]), np.array([0.2]), np.array([0.2]))
    np.testing.assert_array_equal(features.observe()[2], fresh.observe()[2])
    assert not np.array_equal(features.observe()[1], fresh.observe()[1])


def test_what_does_not_fit_is_refused(pools: list[Pool]) -> None:
    ranker = PolicyRanker(rough_network())
    for k in (0, 26):
        with pytest.raises(FvrecError, match="allowed: 1 to 25"):
            ranker.rank(pools[0], k)
    with pytest.raises(FvrecError, match="one size"):
        bank_of([pools[0], permuted(pools[1], np.arange(4))], None)
    with pytest.raises(FvrecError, match="empty"):
        permuted(pools[0], np.arange(0))
    broken = pools[0].embeddings.copy()
    broken[3, 0] = np.nan
    with pytest.raises(FvrecError, match="not finite"):
        replace(pools[0], embeddings=broken)
