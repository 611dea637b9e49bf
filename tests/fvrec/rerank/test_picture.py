"""What a reference picture adds to a request, and how the user takes it back."""

from __future__ import annotations

import numpy as np
import pytest

from fvrec.records import CandidateSet
from fvrec.rerank.ask import Answer, FixedStore, ask
from fvrec.rerank.constraints import Constraint, Constraints, parse
from fvrec.rerank.diversify import BaseRank
from fvrec.rerank.explain import verify
from fvrec.rerank.picture import pictured_wishes, with_pictured

SEEN = {"category": "dress", "color": "red", "material": "silk", "fit": "slim", "neckline": "unknown"}
SURE = {"category": 0.9, "color": 0.8, "material": 0.6, "fit": 0.3, "neckline": 0.9}


def summary(constraints: Constraints) -> dict[str, tuple[set[str], str, str]]:
    return {c.field: (set(c.values), c.strength, c.origin) for c in constraints.constraints if not c.excluded}


def asked(shop: CandidateSet, text: str, **more: object) -> Answer:
    pictured = pictured_wishes(SEEN, SURE)
    return ask(FixedStore(shop), text, ranker=BaseRank(), k=4, pictured=pictured, **more)  # type: ignore[arg-type]


def test_what_was_read_surely_becomes_a_soft_wish() -> None:
    wishes = pictured_wishes(SEEN, SURE)
    assert [(one.field, set(one.values)) for one in wishes] == [
        ("category", {"dress"}), ("color", {"red"}), ("material", {"silk"}),
    ]  # fmt: skip
    assert {(one.strength, one.origin, one.excluded) for one in wishes} == {("soft", "picture", False)}
    assert pictured_wishes({}, {}) == ()


def test_words_go_before_the_picture(shop: CandidateSet) -> None:
    answer = asked(shop, "like this but in blue, no silk")
    assert summary(answer.constraints) == {
        "category": ({"dress"}, "soft", "picture"),
        "color": ({"blue"}, "hard", "text"),
    }
    assert [set(c.values) for c in answer.constraints.constraints if c.excluded] == [{"silk"}]
    assert answer.ranked[0].item.item_id == "a"


def test_an_exclusion_of_another_value_leaves_the_picture_its_say() -> None:
    both = with_pictured(parse("not black"), pictured_wishes(SEEN, SURE))
    assert [(c.field, c.excluded) for c in both.constraints] == [
        ("category", False), ("color", False), ("color", True), ("material", False),
    ]  # fmt: skip


def test_struck_wishes_stay_away_and_the_others_stand(shop: CandidateSet) -> None:
    first = asked(shop, "")
    color = next(c for c in first.constraints.constraints if c.field == "color")
    store = FixedStore(shop)
    after = ask(store, "ideally cotton", ranker=BaseRank(), standing=first.constraints.without(color))
    assert summary(after.constraints) == {
        "category": ({"dress"}, "soft", "picture"),
        "material": ({"cotton"}, "soft", "text"),
    }
    last = ask(store, "start over", ranker=BaseRank(), standing=after.constraints)
    assert not last.constraints


def test_a_field_dropped_in_words_is_dropped_from_the_picture_too(shop: CandidateSet) -> None:
    first = asked(shop, "")
    after = ask(FixedStore(shop), "any color", ranker=BaseRank(), standing=first.constraints)
    assert "color" not in summary(after.constraints)
    assert summary(after.constraints)["material"] == ({"silk"}, "soft", "picture")


def test_ten_attributes_of_a_picture_do_not_drown_one_word(shop: CandidateSet) -> None:
    answer = asked(shop, "jeans")
    assert answer.ranked[0].item.item_id == "c"


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("en", ["like your picture's red.", "unlike your picture's silk.", "not comparable with your picture's silk."]),
        ("zh", ["与参考图的红色相同。", "与参考图的丝绸不同。", "无法与参考图的丝绸比较。"]),
    ],
)
def test_explanations_speak_of_the_picture_and_are_verified(
    shop: CandidateSet, language: str, sentences: list[str]
) -> None:
    answer = asked(shop, "", language=language, reference=np.array([1.0, 0.0]))
    text = " ".join(one.explanation for one in answer.ranked)
    assert all(sentence in text for sentence in sentences)
    for one in answer.ranked:
        assert verify(
            one.explanation, one.attributes, confidence=one.confidence, constraints=answer.constraints
        ).faithful


def test_a_likeness_to_no_picture_is_a_false_claim(shop: CandidateSet) -> None:
    answer = asked(shop, "", language="en")
    said = Constraints(tuple(Constraint(c.field, c.values) for c in answer.constraints.constraints))
    for one in answer.ranked:
        assert len(verify(one.explanation, one.attributes, constraints=said).hallucinated) == 3
        flipped = one.explanation.replace("unlike", "LIKE").replace(", like", ", unlike").replace("LIKE", "like")
        assert not verify(flipped, one.attributes, constraints=answer.constraints).faithful
