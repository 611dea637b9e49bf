"""Attributes from a shop's prose: ordered tiers of patterns, which are data (see ``fvrec/vocab/hm_rules.toml``).

A field's rules are tried tier by tier. The first tier that finds something decides: one value is the answer; several
are a contradiction, which is ``unknown`` unless the tier prefers the one that is said first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from fvrec import vocab
from fvrec.errors import FvrecError
from fvrec.records import AttributeValue, Origin
from fvrec.schema import FIELDS, VALUES
from fvrec.sources.base import UNKNOWN_ATTRIBUTE
from fvrec.sources.cues import CueIndex

_SETTINGS = {"scope", "origin", "prefer"}
CUT = " … "
"""Stands in a text for what was cut out of it."""


@dataclass(frozen=True)
class Rule:
    """A pattern; ``bit`` is its place among the candidates of a text."""

    pattern: re.Pattern[str]
    bit: int


class Texts:
    """Texts in lower case by scope, each looked at once for what it may match."""

    def __init__(self, by_scope: Mapping[str, str], index: CueIndex) -> None:
        self._by_scope, self._index = by_scope, index
        self._candidates: dict[str, int] = {}

    def __getitem__(self, scope: str) -> str:
        return self._by_scope[scope]

    def candidates(self, scope: str) -> int:
        """The bits of the rules that may match the text of ``scope``, or what is left of it after cuts."""
        if scope not in self._candidates:
            self._candidates[scope] = self._index.candidates(self._by_scope[scope])
        return self._candidates[scope]


@dataclass(frozen=True)
class Tier:
    """Rules of equal weight, by the value that they tell, read in the text named ``scope``."""

    scope: str
    origin: Origin
    first_wins: bool
    rules: Mapping[str, Rule]

    @cached_property
    def bits(self) -> int:
        """The bits of all its rules."""
        return sum(rule.bit for rule in self.rules.values())

    def find(self, text: str, candidates: int) -> tuple[str, ...]:
        """The values whose pattern occurs; only the one said first where that is to win."""
        asked = [(value, rule.pattern) for value, rule in self.rules.items() if rule.bit & candidates]
        hits = [(found.start(), value) for value, pattern in asked if (found := pattern.search(text))]
        values = [value for _, value in sorted(hits)]
        return tuple(values[:1] if self.first_wins else values)


@dataclass(frozen=True)
class FieldRules:
    """The rules of one field. ``ignore``: what is cut out of every text first, because it speaks of something else."""

    field: str
    categories: frozenset[str]
    ignore: Rule | None
    tiers: Sequence[Tier]

    def read(self, texts: Texts, category: str) -> AttributeValue:
        """The value that ``texts`` tell of a product of ``category``, or ``unknown``."""
        if self.categories and category not in self.categories:
            return UNKNOWN_ATTRIBUTE
        cleaned: dict[str, str] = {}
        for tier in self.tiers:
            candidates = texts.candidates(tier.scope)
            if not candidates & tier.bits:
                continue
            if tier.scope not in cleaned:
                cleaned[tier.scope] = self._clean(texts[tier.scope], candidates)
            if values := tier.find(cleaned[tier.scope], candidates):
                return AttributeValue(values[0], tier.origin) if len(values) == 1 else UNKNOWN_ATTRIBUTE
        return UNKNOWN_ATTRIBUTE

    def _clean(self, text: str, candidates: int) -> str:
        return self.ignore.pattern.sub(CUT, text) if self.ignore and self.ignore.bit & candidates else text


def load_rules(vocabulary: str) -> Mapping[str, FieldRules]:
    """field -> its rules, from ``fvrec/vocab/<vocabulary>.toml``. FvrecError on a value outside the schema."""
    return _load(vocabulary).fields


def texts_for(vocabulary: str, by_scope: Mapping[str, str]) -> Texts:
    """``by_scope`` (scope -> lower-case text) as the rules of ``vocabulary`` read it."""
    return Texts(by_scope, _load(vocabulary).index)


@dataclass(frozen=True)
class _Book:
    fields: Mapping[str, FieldRules]
    index: CueIndex


@cache
def _load(vocabulary: str) -> _Book:
    data = vocab.load(vocabulary)
    patterns = _Patterns(data.get("fragments", {}))
    fields = {field: _field(field, data, patterns, vocabulary) for field in FIELDS if field in data}
    return _Book(fields, CueIndex(patterns.texts))


def _field(field: str, data: Mapping[str, Any], patterns: _Patterns, vocabulary: str) -> FieldRules:
    table, groups = data[field], data.get("groups", {})
    where = f"fvrec/vocab/{vocabulary}.toml [{field}]"
    return FieldRules(
        field,
        frozenset(value for group in table.get("applies_to", ()) for value in groups[group]),
        patterns.rule(table["ignore"], where) if table.get("ignore") else None,
        tuple(_tier(field, tier, patterns, where) for tier in table["tiers"]),
    )


def _tier(field: str, tier: Mapping[str, Any], patterns: _Patterns, where: str) -> Tier:
    values = [name for name in tier if name not in _SETTINGS]
    strange = [value for value in values if value not in VALUES[field]]
    if strange:
        raise FvrecError("a rule's value is outside the schema", where=where, found=strange[0], allowed=VALUES[field])
    return Tier(
        scope=tier["scope"],
        origin=tier.get("origin", "rule"),
        first_wins=tier.get("prefer") == "first",
        rules={value: patterns.rule(tier[value], where) for value in values},
    )


class _Patterns:
    """Numbers the patterns of one vocabulary as they are made."""

    def __init__(self, fragments: Mapping[str, str]) -> None:
        self.texts: list[str] = []
        self._fragments = fragments

    def rule(self, alternatives: Sequence[str], where: str) -> Rule:
        text = "|".join(f"(?:{each})" for each in alternatives)
        for name, fragment in self._fragments.items():
            text = text.replace("{" + name + "}", fragment)
        try:
            pattern = re.compile(text)
        except re.error as error:
            raise FvrecError("a rule is no regular expression", where=where, found=str(error)) from error
        self.texts.append(text)
        return Rule(pattern, 1 << (len(self.texts) - 1))
