"""Why an item is in the list, in sentences whose every claim cites the item's JSON.

A sentence names the field and its value in words, cites ``field=value`` with its confidence, and says how that stands
to the request. ``verify`` reads the finished text on its own and holds each claim against the JSON (project plan, 9.4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fvrec import vocab
from fvrec.rerank.constraints import Constraint, Constraints, Language, Outcome
from fvrec.rerank.verify import Claim, Verdict, verify
from fvrec.schema import FIELDS, UNKNOWN, VALUES

__all__ = ["Claim", "Explanation", "Statement", "Verdict", "explain", "verify"]

STATED_FIELDS = 4
"""How many attributes an explanation states when nothing was asked."""

_UNKNOWN_WORD = {"en": "unknown", "zh": "未知"}
_SENTENCES = {
    "en": {
        "stated": "Its {name} is {word} ({citation}).",
        "met": 'Its {name} is {word} ({citation}), which meets your wish for "{wish}".',
        "conflict": 'Its {name} is {word} ({citation}), which does not meet your wish for "{wish}".',
        "unknown": 'Its {name} is {word} ({citation}), so your wish for "{wish}" cannot be checked.',
        "picture met": "Its {name} is {word} ({citation}), like your picture's {wish}.",
        "picture conflict": "Its {name} is {word} ({citation}), unlike your picture's {wish}.",
        "picture unknown": "Its {name} is {word} ({citation}), not comparable with your picture's {wish}.",
    },
    "zh": {
        "stated": "{name}是{word}（{citation}）。",
        "met": "{name}是{word}（{citation}），符合“{wish}”的要求。",
        "conflict": "{name}是{word}（{citation}），不符合“{wish}”的要求。",
        "unknown": "{name}是{word}（{citation}），无法核对“{wish}”的要求。",
        "picture met": "{name}是{word}（{citation}），与参考图的{wish}相同。",
        "picture conflict": "{name}是{word}（{citation}），与参考图的{wish}不同。",
        "picture unknown": "{name}是{word}（{citation}），无法与参考图的{wish}比较。",
    },
}
_OR, _NOT = {"en": " or ", "zh": "或"}, {"en": "not ", "zh": "不要"}


@dataclass(frozen=True)
class Statement:
    """What one sentence claims: the item's value of a field, how sure the reading is, and how that stands to the wish.

    confidence: None where the item's JSON has none. kind: the outcome for ``constraint``, or ``stated`` without one.
    """

    field: str
    value: str
    confidence: float | None
    kind: Outcome | Literal["stated"]
    constraint: Constraint | None = None


@dataclass(frozen=True)
class Explanation:
    """The finished text, and what it claims, a statement for each sentence."""

    text: str
    claims: tuple[Statement, ...]

    @property
    def evidence(self) -> dict[str, str]:
        """field -> value for each field that the text cites."""
        return {claim.field: claim.value for claim in self.claims}


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
    claims = tuple(
        _statement(name, attributes.get(name, UNKNOWN), confidence.get(name), constraint)
        for name, constraint in asked or [(field, None) for field in _most_certain(attributes, confidence)]
    )
    return Explanation((" " if tongue == "en" else "").join(_sentence(claim, tongue) for claim in claims), claims)


def _statement(name: str, value: str, confidence: float | None, constraint: Constraint | None) -> Statement:
    return Statement(name, value, confidence, "stated" if constraint is None else constraint.outcome(value), constraint)


def _most_certain(attributes: Mapping[str, str], confidence: Mapping[str, float]) -> list[str]:
    known = [field for field in FIELDS if attributes.get(field, UNKNOWN) != UNKNOWN]
    chosen = sorted(known, key=lambda field: -confidence.get(field, 0.0))[:STATED_FIELDS]
    return sorted(chosen, key=FIELDS.index) or ["category"]


def _sentence(claim: Statement, language: Language) -> str:
    citation = f"{claim.field}={claim.value}"
    from_picture = claim.constraint is not None and claim.constraint.origin == "picture"
    return _SENTENCES[language][f"picture {claim.kind}" if from_picture else claim.kind].format(
        name=vocab.load("words")["fields"][claim.field][language][0],
        word=_word(claim.field, claim.value, language),
        citation=citation if claim.confidence is None else f"{citation}, {claim.confidence:.2f}",
        wish="" if claim.constraint is None else _wish(claim.constraint, language),
    )


def _wish(constraint: Constraint, language: Language) -> str:
    ordered = sorted(constraint.values, key=VALUES[constraint.field].index)
    words = _OR[language].join(_word(constraint.field, value, language) for value in ordered)
    return f"{_NOT[language]}{words}" if constraint.excluded else words


def _word(name: str, value: str, language: Language) -> str:
    if value == UNKNOWN:
        return _UNKNOWN_WORD[language]
    return str(vocab.load("words")["values"][name][value][language][0])
