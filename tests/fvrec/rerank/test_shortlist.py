"""The shortlist against plain sorting."""

from __future__ import annotations

import numpy as np
import pytest

from fvrec.records import Item
from fvrec.rerank.ask import FixedStore, ask
from fvrec.rerank.diversify import BaseRank, Mmr
from fvrec.rerank.shortlist import best, shortlist
from fvrec.rerank.table import candidate_set

from .products import make_item, make_prediction


@pytest.mark.parametrize("seed", range(20))
def test_best_is_a_stable_sort_cut_short(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, size=60).astype(np.float64)
    rows = np.sort(rng.permutation(60)[: rng.integers(1, 60)])
    for count in (1, 5, len(rows), 100):
        expected = sorted(rows.tolist(), key=lambda row: (-scores[row], row))[:count]
        assert best(scores, rows, count).tolist() == expected


def test_what_breaks_nothing_comes_first_and_others_fill_the_list() -> None:
    scores = np.array([0.1, 0.9, 0.8, 0.2, 0.7])
    found = shortlist(scores, np.array([0, 3]), k=4, size=4)
    assert (found.rows.tolist(), found.kept) == ([3, 0, 1, 2], 2)
    enough = shortlist(scores, np.array([0, 3]), k=2, size=4)
    assert (enough.rows.tolist(), enough.kept) == ([3, 0], 2)
    none = shortlist(scores, np.array([], dtype=np.int64), k=2, size=3)
    assert (none.rows.tolist(), none.kept) == ([1, 2, 4], 0)
    assert shortlist(scores, np.arange(5), k=9, size=9).rows.tolist() == [1, 2, 4, 3, 0]


@pytest.mark.parametrize("ranker", [BaseRank(), Mmr(1.0)])
def test_many_soft_wishes_do_not_outweigh_a_hard_one(ranker: BaseRank | Mmr) -> None:
    """One dress that misses every soft wish against jeans that meet them all."""
    items: list[Item] = [
        make_item("jeans", "", {"category": "jeans", "color": "red", "material": "cotton", "fit": "slim"}),
        make_item("dress", "", {"category": "dress", "color": "blue", "material": "silk", "fit": "loose"}),
    ]
    store = FixedStore(candidate_set(items, [make_prediction(item) for item in items]))
    answer = ask(store, "a dress. ideally red. ideally cotton. ideally slim", ranker=ranker, k=2)
    assert {(c.field, c.strength) for c in answer.constraints.constraints} == {
        ("category", "hard"), ("color", "soft"), ("material", "soft"), ("fit", "soft"),
    }  # fmt: skip
    assert [one.item.item_id for one in answer.ranked] == ["dress", "jeans"]
    assert answer.ranked[0].score < answer.ranked[1].score
    assert answer.ranked[0].relevance >= answer.ranked[1].relevance


def test_what_fills_the_list_is_the_rankers_choice_and_stands_behind() -> None:
    """One blue dress, then two red ones that look alike and a black one that does not."""
    colors = ("blue", "red", "red", "black")
    items = [make_item(f"{at}", "", {"category": "dress", "color": color}) for at, color in enumerate(colors)]
    vectors = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    store = FixedStore(candidate_set(items, [make_prediction(item) for item in items], vectors))
    by_base, by_mmr = (
        [one.item.item_id for one in ask(store, "blue dress", ranker=ranker, k=3).ranked]
        for ranker in (BaseRank(), Mmr(0.5))
    )
    assert by_base == ["0", "1", "2"]
    assert by_mmr == ["0", "1", "3"]
