"""BaseRank and MMR on pools whose right order is plain."""

from __future__ import annotations

import numpy as np
import pytest

from fvrec.errors import FvrecError
from fvrec.rerank.diversify import BaseRank, Mmr
from fvrec.rerank.metrics import ild
from fvrec.rerank.pool import Pool, encode_values
from fvrec.schema import FIELDS


def make_pool(relevance: list[float], embeddings: list[list[float]]) -> Pool:
    n = len(relevance)
    return Pool(
        tuple(str(i) for i in range(n)),
        np.array(relevance, dtype=np.float32),
        np.array(embeddings, dtype=np.float32),
        encode_values([{}] * n),
        np.full((n, len(FIELDS)), 0.5, dtype=np.float32),
    )


def test_base_rank_orders_by_relevance_and_keeps_ties() -> None:
    pool = make_pool([0.2, 0.9, 0.9, 0.5], [[1, 0]] * 4)
    assert BaseRank().rank(pool, 4).tolist() == [1, 2, 3, 0]


def test_mmr_by_hand() -> None:
    pool = make_pool([1.0, 0.9, 0.6], [[1, 0], [1, 0], [0, 1]])
    # after 0: 1 is worth .5*.9 - .5*1 = -.05, 2 is worth .5*.6 - 0 = .3
    assert Mmr(0.5).rank(pool, 3).tolist() == [0, 2, 1]
    assert Mmr(1.0).rank(pool, 3).tolist() == [0, 1, 2]


def test_mmr_spreads_more_as_the_trade_off_falls() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pool = make_pool(rng.random(60).tolist(), vectors.tolist())
    diversity = [ild(pool.embeddings[Mmr(share).rank(pool, 10)], 10) for share in (1.0, 0.5, 0.0)]
    assert diversity[0] < diversity[1] < diversity[2]


@pytest.mark.parametrize("ranker", [BaseRank(), Mmr(0.3)])
def test_distinct_and_bounded(ranker: BaseRank | Mmr) -> None:
    pool = make_pool([0.5] * 8, [[0, 0]] * 8)
    assert sorted(ranker.rank(pool, 8).tolist()) == list(range(8))
    for k in (0, 9):
        with pytest.raises(FvrecError):
            ranker.rank(pool, k)


def test_trade_off_out_of_range() -> None:
    with pytest.raises(FvrecError):
        Mmr(1.5)
