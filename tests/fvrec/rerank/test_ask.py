"""From a line of text to an explained list."""

from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np
import pytest

from fvrec.errors import FvrecError
from fvrec.records import CandidateSet, Item
from fvrec.rerank.ask import Answer, FixedStore, ask
from fvrec.rerank.diversify import BaseRank, Mmr
from fvrec.rerank.explain import verify
from fvrec.rerank.table import candidate_set, table_of

from .products import make_prediction


def ids(answer: Answer) -> list[str]:
    return [one.item.item_id for one in answer.ranked]


def kinds(answer: Answer) -> list[str]:
    return [note.kind for note in answer.notes]


def test_constraints_decide_over_text(shop: CandidateSet) -> None:
    answer = ask(FixedStore(shop), "蓝色连衣裙，不要丝绸", ranker=BaseRank(), k=4)
    assert ids(answer) == ["a", "c", "d", "b"]
    first, last = answer.ranked[0], answer.ranked[-1]
    assert first.matched == ("category", "color", "material")
    assert last.matched == ("category",)
    assert last.conflicting == ("color", "material")
    assert answer.ranked[2].unknown == ("material",)
    assert answer.language == "zh"
    assert answer.notes == ()
    for one in answer.ranked:
        assert verify(
            one.explanation, one.attributes, confidence=one.confidence, constraints=answer.constraints
        ).faithful


def test_follow_up_keeps_what_stands(shop: CandidateSet) -> None:
    before = ask(FixedStore(shop), "blue dress", ranker=BaseRank(), k=1)
    after = ask(FixedStore(shop), "in red instead", ranker=BaseRank(), k=1, standing=before.constraints)
    assert (ids(before), ids(after)) == (["a"], ["b"])


def test_language_of_the_reasons_can_be_chosen(shop: CandidateSet) -> None:
    answer = ask(FixedStore(shop), "blue dress", ranker=BaseRank(), k=1, language="zh")
    assert "符合“连衣裙”的要求" in answer.ranked[0].explanation


def test_reference_picture(shop: CandidateSet) -> None:
    reference = np.array([0.0, 1.0])
    assert ids(ask(FixedStore(shop), "", ranker=BaseRank(), k=2, reference=reference)) == ["b", "d"]
    with pytest.raises(FvrecError, match="reference"):
        ask(FixedStore(shop), "", ranker=BaseRank(), reference=np.zeros(3))


def test_ranker_chooses_from_the_pool(shop: CandidateSet) -> None:
    plain = ask(FixedStore(shop), "dress or jeans", ranker=BaseRank(), k=2)
    varied = ask(FixedStore(shop), "dress or jeans", ranker=Mmr(0.0), k=2)
    assert varied.strategy == "mmr"
    assert set(plain.pool.item_ids) == set("abcd")
    assert ids(varied)[0] == ids(plain)[0]
    vectors = shop.embeddings[[shop.item_ids.index(item_id) for item_id in ids(varied)]]
    assert vectors[0] @ vectors[1] < 0.1


def test_small_pool_still_fills_the_list(shop: CandidateSet) -> None:
    assert len(ask(FixedStore(shop), "dress", ranker=BaseRank(), k=3, pool_size=1).ranked) == 3


def test_nothing_meets_everything(shop: CandidateSet) -> None:
    answer = ask(FixedStore(shop), "red dress in size xyzzy, ideally leather", ranker=BaseRank(), k=4)
    assert kinds(answer) == ["unrecognised", "relaxed"]
    relaxed = answer.notes[1]
    assert [c.field for c in relaxed.constraints] == ["material"]
    assert "material: leather" in relaxed.text
    assert answer.ranked[0].conflicting == ("material",)
    assert "xyzzy" in answer.notes[0].text


def test_contradiction_and_short_catalogue_are_said(shop: CandidateSet) -> None:
    answer = ask(FixedStore(shop), "红色，不要红色", ranker=BaseRank(), k=10)
    assert kinds(answer) == ["contradiction", "fewer"]
    assert len(answer.ranked) == 4
    assert ids(answer)[-1] == "b"


@pytest.mark.parametrize("text", ["", "🙂🙂🙂", "'; DROP TABLE items; --", "<b>ignore the schema</b>", "不" * 10_000])
def test_any_text_gets_a_list(shop: CandidateSet, text: str) -> None:
    answer = ask(FixedStore(shop), text, ranker=BaseRank(), k=2)
    assert len(answer.ranked) == 2
    assert all(verify(one.explanation, one.attributes).faithful for one in answer.ranked)


def test_bad_calls(shop: CandidateSet) -> None:
    with pytest.raises(FvrecError, match="k"):
        ask(FixedStore(shop), "dress", ranker=BaseRank(), k=0)
    with pytest.raises(FvrecError, match="nothing to choose from"):
        ask(FixedStore(candidate_set([], [])), "dress", ranker=BaseRank())
    with pytest.raises(FvrecError, match="do not match"):
        ask(FixedStore(replace(shop, embeddings=shop.embeddings[:1])), "dress", ranker=BaseRank())


def test_tables_are_kept_by_identity(shop: CandidateSet) -> None:
    assert table_of(shop) is table_of(shop)
    assert table_of(replace(shop)) is not table_of(shop)


def test_a_table_goes_with_its_candidates(shop: CandidateSet) -> None:
    passing = replace(shop)
    table = weakref.ref(table_of(passing))
    assert table() is not None
    del passing
    assert table() is None


def test_small_questions_in_between_cost_the_large_store_nothing(shop: CandidateSet) -> None:
    kept = table_of(shop)
    others = [replace(shop) for _ in range(10)]
    for other in others:
        table_of(other)
    assert table_of(shop) is kept


def test_same_question_same_answer(catalogue: list[Item]) -> None:
    store = FixedStore(candidate_set(catalogue, [make_prediction(item) for item in catalogue]))
    first, second = (ask(store, "blue dress, no stripes", ranker=Mmr(0.6)) for _ in range(2))
    assert first.ranked == second.ranked
