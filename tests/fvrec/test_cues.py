"""Rules are asked only where their cues are: never is one left out that would have matched."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fvrec import vocab
from fvrec.sources.cues import CueIndex, cues_of
from fvrec.sources.text_rules import CUT, load_rules, texts_for

RULES = [
    (vocabulary, rule)
    for vocabulary in ("hm_rules", "deepfashion")
    for field in load_rules(vocabulary).values()
    for rule in [
        *([field.ignore] if field.ignore else []),
        *(each for tier in field.tiers for each in tier.rules.values()),
    ]
]
WORDS = sorted(
    set(re.findall(r"[a-z0-9/&'-]+", " ".join(str(vocab.load(name)) for name in ("hm_rules", "deepfashion"))))
)
TEXTS = st.lists(st.sampled_from(WORDS), max_size=12).flatmap(
    lambda words: st.sampled_from([" ", ", ", "-", "", ". "]).map(lambda between: between.join(words))
)


@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
def test_no_rule_that_matches_is_kept_out(text: str) -> None:
    for vocabulary, rule in RULES:
        marks = texts_for(vocabulary, {"any": text}).marks["any"]
        assert rule.gate.admits(marks) or not rule.pattern.search(text), (rule.pattern.pattern, text)


@settings(max_examples=60, deadline=None)
@given(text=TEXTS, start=st.integers(0, 40), length=st.integers(0, 20))
def test_nor_in_what_a_cut_leaves(text: str, start: int, length: int) -> None:
    left = text[:start] + CUT + text[start + length :]
    for vocabulary, rule in RULES:
        marks = texts_for(vocabulary, {"any": text}).marks["any"]
        assert rule.gate.admits(marks) or not rule.pattern.search(left), (rule.pattern.pattern, left)


def test_most_rules_are_left_out() -> None:
    """Else the index costs time and saves none: a plain description asks few of the rules."""
    marks = texts_for("hm_rules", {"any": "short-sleeved dress in a soft cotton weave"}).marks["any"]
    asked = [rule for vocabulary, rule in RULES if vocabulary == "hm_rules" and rule.gate.admits(marks)]
    assert 0 < len(asked) < len([vocabulary for vocabulary, _ in RULES if vocabulary == "hm_rules"]) / 8


@pytest.mark.parametrize(
    ("pattern", "cues"),
    [
        (r"\bcotton\b", {frozenset({"cotton"})}),
        (r"\bscar(?:f|ves)\b", {frozenset({"scar"})}),
        (r"(?:wool|silk) socks?", {frozenset({"wool", "silk"}), frozenset({"sock"})}),
        (r"(?:rain)?coat(?! hanger)", {frozenset({"coat"})}),
        (r"(?:wool|[a-z]+)", set()),
        (r"(?i)cotton", set()),
        (r"(?i:cotton) weave", {frozenset({"weave"})}),
        (r"a? b*", set()),
        (r"(?<=in )(?=linen)\w+", set()),
    ],
)
def test_cues_are_what_every_match_holds(pattern: str, cues: set[frozenset[str]]) -> None:
    assert cues_of(pattern) == cues


def test_marks_of_long_words_are_not_remembered() -> None:
    index = CueIndex()
    gate = index.gate([r"cotton"])
    assert gate.admits(index.marks("x" * 1000 + "cotton"))
    assert not gate.admits(index.marks("x" * 1000))
    assert max(map(len, index._known), default=0) <= 48
