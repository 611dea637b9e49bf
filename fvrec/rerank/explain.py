"""Why an item is in the list, in sentences whose every claim cites the item's JSON.

A sentence names the field and its value in words, cites ``field=value`` with its confidence, and says how that stands
to the request. ``verify`` reads the finished text on its own and holds each claim against the JSON (project plan, 9.4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fvrec import vocab
from fvrec.rerank.constraints import Constraint, Constraints, Language
from fvrec.rerank.verify import Claim, Verdict, verify
from fvrec.schema import FIELDS, UNKNOWN, VALUES

__all__ = ["Claim", "Explanation", "Verdict", "explain", "verify"]

STATED_FIELDS = 4
"""How many attributes an explanation states when nothing was asked."""

_UNKNOWN_WORD = {"en": "unknown", "zh": "未知"}
_SENTENCES = {
    "en": {
        "stated": "Its {name} is {word} ({citation}).",
        "met": 'Its {name} is {word} ({citation}), which meets your wish for "{wish}".',
        "conflict": 'Its {name} is {word} ({citation}), which does not meet your wish for "{wish}".',
        "unknown": 'Its {name} is {word} ({citation}), so your wish for "{wish}" cannot be checked.',
    },
    "zh": {
        "stated": "{name}是{word}（{citation}）。",
        "met": "{name}是{word}（{citation}），符合“{wish}”的要求。",
        "conflict": "{name}是{word}（{citation}），不符合“{wish}”的要求。",
        "unknown": "{name}是{word}（{citation}），无法核对“{wish}”的要求。",
    },
}
_OR, _NOT = {"en": " or ", "zh": "或"}, {"en": "not ", "zh": "不要"}


@dataclass(frozen=True)
class Explanation:
    """The finished text, and field -> value for each field that it cites."""

    text: str
    evidence: Mapping[str, str]


def explain(
    attributes: Mapping[str, str],
    confidence: Mapping[str, float],
    constraints: Constraints,
    language: Language | None = None,
) -> Explanation:
    """One sentence a constraint; without constraints, the most certain known attributes (or the category, unknown).

    ``language`` defaults to the request's. A field missing from ``attributes`` counts as unknown.
    """
    tongue = language or constraints.language
    asked: list[tuple[str, Constraint | None]] = [(c.field, c) for c in constraints.constraints]
    sentences, evidence = [], {}
    for name, constraint in asked or [(field, None) for field in _most_certain(attributes, confidence)]:
        evidence[name] = attributes.get(name, UNKNOWN)
        sentences.append(_sentence(name, evidence[name], confidence.get(name), constraint, tongue))
    return Explanation((" " if tongue == "en" else "").join(sentences), evidence)


def _most_certain(attributes: Mapping[str, str], confidence: Mapping[str, float]) -> list[str]:
    known = [field for field in FIELDS if attributes.get(field, UNKNOWN) != UNKNOWN]
    chosen = sorted(known, key=lambda field: -confidence.get(field, 0.0))[:STATED_FIELDS]
    return sorted(chosen, key=FIELDS.index) or ["category"]


def _sentence(name: str, value: str, certainty: float | None, constraint: Constraint | None, language: Language) -> str:
    citation = f"{name}={value}" if certainty is None else f"{name}={value}, {certainty:.2f}"
    return _SENTENCES[language]["stated" if constraint is None else constraint.outcome(value)].format(
        name=vocab.load("words")["fields"][name][language][0],
        word=_word(name, value, language),
        citation=citation,
        wish="" if constraint is None else _wish(constraint, language),
    )


def _wish(constraint: Constraint, language: Language) -> str:
    ordered = sorted(constraint.values, key=VALUES[constraint.field].index)
    words = _OR[language].join(_word(constraint.field, value, language) for value in ordered)
    return f"{_NOT[language]}{words}" if constraint.excluded else words


def _word(name: str, value: str, language: Language) -> str:
    if value == UNKNOWN:
        return _UNKNOWN_WORD[language]
    return str(vocab.load("words")["values"][name][value][language][0])
