"""The verifier at work: thousands of corrupted explanations in two languages, and as many clean ones.

Each corruption changes the finished text so that it says something that is not so; the rate that the verifier catches,
and that it flags no clean text, are the measure.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from fvrec import vocab
from fvrec.rerank import explain as writer
from fvrec.rerank import verify as verifier
from fvrec.rerank.constraints import LANGUAGES, Constraints, Language
from fvrec.rerank.explain import explain
from fvrec.rerank.picture import pictured_wishes, with_pictured
from fvrec.rerank.verify import verify
from fvrec.schema import FIELDS, UNKNOWN, VALUES

CASES = 300
CAUGHT = 0.99


@dataclass(frozen=True)
class Case:
    """An item's JSON, a request, and the explanation made of them."""

    attributes: dict[str, str]
    confidence: dict[str, float]
    constraints: Constraints
    text: str
    language: Language


def draw_case(rng: np.random.Generator, language: Language) -> Case:
    item = {field: str(rng.choice(VALUES[field])) for field in FIELDS}
    sure = {field: round(float(rng.uniform(0.05, 1.0)), 4) for field in FIELDS}
    wanted: dict[str, set[str]] = {}
    excluded: dict[str, set[str]] = {}
    for field in rng.permutation(FIELDS)[: rng.integers(0, 5)]:
        side = excluded if rng.random() < 0.4 else wanted
        values = {item[str(field)]} - {UNKNOWN} if rng.random() < 0.4 else set()
        side[str(field)] = values | {str(v) for v in rng.choice(VALUES[field][:-1], rng.integers(1, 3), replace=False)}
    said = Constraints.of(wanted, excluded, language)
    seen = {str(f): str(rng.choice(VALUES[f])) for f in rng.permutation(FIELDS)[: rng.integers(0, 4)]}
    asked = with_pictured(said, pictured_wishes(seen, dict.fromkeys(FIELDS, 0.9)))
    return Case(item, sure, asked, explain(item, sure, asked).text, language)


def cases(language: Language, seed: int) -> list[Case]:
    rng = np.random.default_rng(seed)
    return [draw_case(rng, language) for _ in range(CASES)]


def is_faithful(case: Case, text: str) -> bool:
    return verify(text, case.attributes, confidence=case.confidence, constraints=case.constraints).faithful


def names(field: str, language: Language) -> dict[str, str]:
    return {value: by[language][0] for value, by in vocab.load("words")["values"][field].items()}


def swap_value_throughout(case: Case, rng: np.random.Generator) -> str:
    """Another value of the field in word and citation alike: a sentence that agrees with itself."""
    field, value = (str(part) for part in rng.choice(re.findall(r"(\w+)=(\w+)", case.text)))
    words = names(field, case.language) | {UNKNOWN: "unknown" if case.language == "en" else "未知"}
    other = str(rng.choice([v for v in VALUES[field] if v != value]))
    if case.language == "en":
        return case.text.replace(f"is {words[value]} ({field}={value}", f"is {words[other]} ({field}={other}", 1)
    return case.text.replace(f"是{words[value]}（{field}={value}", f"是{words[other]}（{field}={other}", 1)


def swap_citation(case: Case, rng: np.random.Generator) -> str:
    field, value = (str(part) for part in rng.choice(re.findall(r"(\w+)=(\w+)", case.text)))
    other = str(rng.choice([v for v in VALUES[field] if v != value]))
    return case.text.replace(f"{field}={value}", f"{field}={other}", 1)


def invent_field(case: Case, rng: np.random.Generator) -> str:
    """A claim on something that the schema has no field for, at the front or at the end."""
    english = [
        "Its lining is silk (lining=silk, 0.90).",
        'Its brand is blue (brand=blue), which meets your wish for "blue".',
    ]
    chinese = ["衬里是丝绸（lining=silk, 0.90）。", "品牌是蓝色（brand=blue），符合“蓝色”的要求。"]
    invented = str(rng.choice(english if case.language == "en" else chinese))
    joint = " " if case.language == "en" else ""
    return joint.join([invented, case.text] if rng.random() < 0.5 else [case.text, invented])


def claim_an_unknown(case: Case, rng: np.random.Generator) -> str:
    """A field of the schema that the item's JSON does not know, claimed to be known."""
    unknown = [field for field, value in case.attributes.items() if value == UNKNOWN]
    if not unknown:
        return case.text
    field = str(rng.choice(unknown))
    value = str(rng.choice(VALUES[field][:-1]))
    said, word = vocab.load("words")["fields"][field][case.language][0], names(field, case.language)[value]
    if case.language == "en":
        return f"{case.text} Its {said} is {word} ({field}={value}, 0.90)."
    return f"{case.text}{said}是{word}（{field}={value}, 0.90）。"


def drop_negation(case: Case, rng: np.random.Generator) -> str:
    """One "not" or 不 less: in the wish, in the verdict, or in the likeness."""
    english = [('"not ', '"'), ("does not meet", "does meet"), ("which does not meet", "which meets")]
    english += [("unlike your", "like your"), ("not comparable with", "comparable with"), ("cannot", "can")]
    chinese = [
        ("“不要", "“"),
        ("不符合", "符合"),
        ("不同", "同"),
        ("不同。", "相同。"),
        ("无法核对", "核对"),
        ("无法与", "与"),
    ]
    found = [pair for pair in (english if case.language == "en" else chinese) if pair[0] in case.text]
    if not found:
        return case.text
    before, after = found[int(rng.integers(len(found)))]
    return case.text.replace(before, after, 1)


def add_negation(case: Case, rng: np.random.Generator) -> str:
    english = [
        ("which meets", "which does not meet"),
        ('wish for "', 'wish for "not '),
        (", like your", ", unlike your"),
    ]
    chinese = [("，符合“", "，不符合“"), ("合“", "合“不要"), ("相同。", "不同。")]
    found = [pair for pair in (english if case.language == "en" else chinese) if pair[0] in case.text]
    # "not not": what was an exclusion already
    found = [pair for pair in found if '"not' not in case.text and "“不要" not in case.text]
    if not found:
        return case.text
    before, after = found[int(rng.integers(len(found)))]
    return case.text.replace(before, after, 1)


def change_confidence(case: Case, rng: np.random.Generator) -> str:
    found = re.findall(r", (\d\.\d\d)", case.text)
    number = str(rng.choice(found))
    other = f"{(float(number) + float(rng.uniform(0.05, 0.5))) % 1.0:.2f}"
    return case.text.replace(f", {number}", f", {other}", 1)


def change_wish(case: Case, rng: np.random.Generator) -> str:
    """Another value in the quoted wish, with a verdict that still follows from it."""
    asked = {c.field: c for c in case.constraints.constraints if c.origin == "text"}
    if not asked:
        return case.text
    chosen = asked[str(rng.choice(sorted(asked)))]
    others = [v for v in VALUES[chosen.field][:-1] if v not in chosen.values and v != case.attributes[chosen.field]]
    if case.attributes[chosen.field] in chosen.values or not others:
        return case.text
    made = replace(chosen, values=frozenset({str(rng.choice(others))}))
    changed = tuple(made if c is chosen else c for c in case.constraints.constraints)
    return explain(case.attributes, case.confidence, replace(case.constraints, constraints=changed)).text


def of_another_item(case: Case, rng: np.random.Generator) -> str:
    """A whole explanation, true of an item that differs in one of the fields that it cites."""
    cited = sorted({field for field, _ in re.findall(r"(\w+)=(\w+)", case.text)})
    field = str(rng.choice(cited))
    other = str(rng.choice([v for v in VALUES[field] if v != case.attributes[field]]))
    false = explain({**case.attributes, field: other}, case.confidence, case.constraints).text
    # Without a request only the surest values are cited: the other item may leave out what tells it apart.
    return false if f"{field}={other}" in false else case.text


def add_praise(case: Case, rng: np.random.Generator) -> str:
    english, chinese = "Everybody will love it.", "人人都会喜欢。"
    return f"{case.text} {english}" if case.language == "en" else f"{case.text}{chinese}"


CORRUPTIONS: list[Callable[[Case, np.random.Generator], str]] = [
    swap_value_throughout, swap_citation, invent_field, claim_an_unknown, drop_negation, add_negation,
    change_confidence, change_wish, of_another_item, add_praise,
]  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_clean_explanation_is_flagged(language: Language) -> None:
    clean = [case for seed in range(4) for case in cases(language, seed)]
    assert len(clean) == 4 * CASES
    assert [case.text for case in clean if not is_faithful(case, case.text)] == []


def test_corrupted_explanations_are_caught() -> None:
    tried: dict[str, list[bool]] = {}
    missed = []
    for language in LANGUAGES:
        rng = np.random.default_rng(17)
        for case in cases(language, 9):
            for corrupt in CORRUPTIONS:
                false = corrupt(case, rng)
                if false != case.text:
                    caught = not is_faithful(case, false)
                    tried.setdefault(corrupt.__name__, []).append(caught)
                    missed += [] if caught else [(corrupt.__name__, case.text, false)]
    outcomes = [caught for found in tried.values() for caught in found]
    assert len(outcomes) >= 2000
    assert {corrupt.__name__ for corrupt in CORRUPTIONS} == set(tried)
    assert min(map(len, tried.values())) >= 60
    assert np.mean(outcomes) >= CAUGHT, missed[:10]
    for name, found in tried.items():
        assert np.mean(found) >= CAUGHT, (name, [one for one in missed if one[0] == name][:3])


def test_the_verifier_shares_no_code_with_the_writer() -> None:
    """The schema, the types of a request and the words of a language are all that both may know."""
    tree = ast.parse(Path(verifier.__file__).read_text(encoding="utf-8"))
    imported = {
        f"{node.module}.{name.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("fvrec")
        for name in node.names
    }
    assert imported == {
        "fvrec.vocab", "fvrec.rerank.constraints.Constraint", "fvrec.rerank.constraints.Constraints",
        "fvrec.schema.FIELDS", "fvrec.schema.UNKNOWN", "fvrec.schema.VALUES",
    }  # fmt: skip
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    written = ast.parse(Path(writer.__file__).read_text(encoding="utf-8"))
    assert not defined & {node.name for node in written.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
