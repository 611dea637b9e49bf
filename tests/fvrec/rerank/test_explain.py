"""Explanations hold, and the verifier catches those that were tampered with."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fvrec.rerank.constraints import LANGUAGES, Constraints, Language, parse
from fvrec.rerank.explain import explain, verify
from fvrec.schema import FIELDS, OTHER, UNKNOWN, VALUES

DRESS = {"category": "dress", "color": "blue", "style": "casual", "pattern": "solid"}
SURE = dict.fromkeys(FIELDS, 0.87)


def cases(language: Language, count: int) -> list[tuple[dict[str, str], Constraints]]:
    """Random items with random requests of one to four constraints."""
    rng = np.random.default_rng(11)
    found = []
    for _ in range(count):
        item = {field: str(rng.choice(VALUES[field])) for field in FIELDS}
        wanted: dict[str, set[str]] = {}
        excluded: dict[str, set[str]] = {}
        for field in rng.permutation(FIELDS)[: rng.integers(1, 5)]:
            side = excluded if rng.random() < 0.4 else wanted
            side[str(field)] = {str(v) for v in rng.choice(VALUES[field][:-1], size=rng.integers(1, 3), replace=False)}
        found.append((item, Constraints.of(wanted, excluded, language)))
    return found


def test_english_text() -> None:
    found = explain(DRESS, SURE, parse("blue or white silk dress, no stripes"))
    assert found.text == (
        'Its category is dress (category=dress, 0.87), which meets your wish for "dress". '
        'Its color is blue (color=blue, 0.87), which meets your wish for "white or blue". '
        'Its material is unknown (material=unknown, 0.87), so your wish for "silk" cannot be checked. '
        'Its pattern is solid (pattern=solid, 0.87), which meets your wish for "not striped".'
    )
    assert found.evidence == {"category": "dress", "color": "blue", "material": UNKNOWN, "pattern": "solid"}


def test_chinese_text() -> None:
    found = explain(DRESS, {}, parse("度假风，不要蓝色"))
    assert found.text == (
        "颜色是蓝色（color=blue），不符合“不要蓝色”的要求。风格是休闲（style=casual），不符合“度假”的要求。"
    )


def test_without_constraints_the_surest_attributes_are_stated() -> None:
    sure = {**SURE, "style": 0.1, "pattern": 0.99}
    assert list(explain({**DRESS, "season": "summer"}, sure, Constraints()).evidence) == [
        "category", "color", "season", "pattern",
    ]  # fmt: skip
    assert verify(explain({}, {}, Constraints()).text, {}).faithful


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_clean_explanation_passes(language: Language) -> None:
    for item, constraints in cases(language, 500):
        text = explain(item, SURE, constraints).text
        verdict = verify(text, item, confidence=SURE, constraints=constraints)
        assert verdict.faithful, (text, verdict.hallucinated)
        assert [claim.field for claim in verdict.claims] == [c.field for c in constraints.constraints]
        assert [claim.kind for claim in verdict.claims] == [c.outcome(item[c.field]) for c in constraints.constraints]


def swap_cited_value(text: str, rng: np.random.Generator) -> str:
    field, value = rng.choice(re.findall(r"(\w+)=(\w+)", text))
    other = rng.choice([v for v in VALUES[field] if v != value])
    return text.replace(f"{field}={value}", f"{field}={other}", 1)


def swap_spoken_value(text: str, rng: np.random.Generator) -> str:
    words = re.findall(r"(?: is |是)([^(（]+?) ?[(（]", text)
    return text.replace(words[0], "green checks" if " is " in text else "绿格子", 1)


def invent_field(text: str, rng: np.random.Generator) -> str:
    return text + (
        " Its lining is silk (lining=silk, 0.90)." if " is " in text else "衬里是丝绸（lining=silk, 0.90）。"
    )


def flip_verdict(text: str, rng: np.random.Generator) -> str:
    for before, after in (
        ("which does not meet", "which meets"), ("which meets", "which does not meet"),
        ("不符合", "符合"), ("，符合", "，不符合"),
    ):  # fmt: skip
        if before in text:
            return text.replace(before, after, 1)
    return text


def drop_negation_of_wish(text: str, rng: np.random.Generator) -> str:
    return text.replace('"not ', '"', 1) if '"not ' in text else text.replace("“不要", "“", 1)


def add_praise(text: str, rng: np.random.Generator) -> str:
    return text + (" Everybody will love it." if " is " in text else "人人都会喜欢。")


def raise_confidence(text: str, rng: np.random.Generator) -> str:
    return text.replace("0.87", "0.99", 1)


CORRUPTIONS: list[Callable[[str, np.random.Generator], str]] = [
    swap_cited_value, swap_spoken_value, invent_field, flip_verdict, drop_negation_of_wish, add_praise,
    raise_confidence,
]  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("corrupt", CORRUPTIONS, ids=lambda f: f.__name__)
def test_corrupted_explanations_are_caught(
    corrupt: Callable[[str, np.random.Generator], str], language: Language
) -> None:
    rng = np.random.default_rng(3)
    tried = 0
    for item, constraints in cases(language, 200):
        clean = explain(item, SURE, constraints).text
        false = corrupt(clean, rng)
        if false == clean:
            continue
        tried += 1
        verdict = verify(false, item, confidence=SURE, constraints=constraints)
        assert verdict.hallucinated, false
        assert len(verdict.hallucinated) == 1, false
    assert tried > 50


def test_dropped_negation_shows_without_the_request() -> None:
    text = explain(DRESS, SURE, parse("no stripes")).text
    assert verify(text, DRESS).faithful
    assert not verify(text.replace('"not ', '"'), DRESS).faithful


def test_another_item_does_not_bear_out_the_explanation() -> None:
    text = explain(DRESS, SURE, parse("蓝色连衣裙")).text
    verdict = verify(text, {**DRESS, "color": "red"})
    assert [claim.field for claim in verdict.hallucinated] == ["color"]
    assert "color=red" in verdict.hallucinated[0].problem


def test_an_empty_text_explains_nothing() -> None:
    assert not verify("", DRESS).faithful


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_verifier_takes_any_text(text: str) -> None:
    for claim in verify(text, DRESS).claims:
        assert claim.problem


def test_every_value_can_be_cited() -> None:
    for field in FIELDS:
        for value in VALUES[field]:
            for language in LANGUAGES:
                constraints = Constraints.of({field: [value if value != UNKNOWN else VALUES[field][0]]}, {}, language)
                assert verify(explain({field: value}, SURE, constraints).text, {field: value}).faithful
    assert OTHER in VALUES["category"]
