"""Attributes from a shop's prose: ordered tiers of patterns, which are data (see ``fvrec/vocab/hm_rules.toml``).

A field's rules are tried tier by tier. The first tier that finds something decides: one value is the answer; several
are a contradiction, which is ``unknown`` unless the tier prefers the one that is said first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, reduce
from operator import or_
from typing import Any

from fvrec import vocab
from fvrec.errors import FvrecError
from fvrec.records import AttributeValue, Origin
from fvrec.schema import FIELDS, VALUES
from fvrec.sources.base import UNKNOWN_ATTRIBUTE
from fvrec.sources.cues import CueIndex, Gate

_SETTINGS = {"scope", "origin", "prefer"}
CUT = " … "
"""Stands in a text for what was cut out of it."""
_MAX_KNOWN = 1 << 12


@dataclass(frozen=True)
class Rule:
    """A pattern, and the gate that tells which texts are worth a search."""

    pattern: re.Pattern[str]
    gate: Gate


@dataclass(frozen=True)
class Texts:
    """Texts in lower case by scope, and the marks of the cues that each holds."""

    by_scope: Mapping[str, str]
    marks: Mapping[str, int]


Asked = Sequence[tuple[str, re.Pattern[str]]]
"""Values with their patterns."""


@dataclass(frozen=True)
class Tier:
    """Rules of equal weight, by the value that they tell, read in the text named ``scope``."""

    scope: str
    origin: Origin
    first_wins: bool
    rules: Mapping[str, Rule]

    @cached_property
    def bits(self) -> int:
        """The marks that any of its rules looks at."""
        return reduce(or_, (rule.gate.bits for rule in self.rules.values()), 0)

    def asked(self, marks: int) -> Asked:
        """The rules that may match a text with these ``marks``. Few sets of marks are met, so they are remembered."""
        marks &= self.bits
        if not marks:
            return ()
        if (asked := self._known.get(marks)) is None:
            asked = [(value, rule.pattern) for value, rule in self.rules.items() if rule.gate.admits(marks)]
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[marks] = asked
        return asked

    def find(self, text: str, asked: Asked) -> Sequence[str]:
        """The values whose pattern occurs; only the one said first where that is to win."""
        hits = [(found.start(), value) for value, pattern in asked if (found := pattern.search(text))]
        values = [value for _, value in sorted(hits)]
        return values[:1] if self.first_wins else values

    @cached_property
    def _known(self) -> dict[int, Asked]:
        return {}


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
            scope = tier.scope
            if not (asked := tier.asked(texts.marks[scope])):
                continue
            if scope not in cleaned:
                cleaned[scope] = self._clean(texts.by_scope[scope], texts.marks[scope])
            if values := tier.find(cleaned[scope], asked):
                return AttributeValue(values[0], tier.origin) if len(values) == 1 else UNKNOWN_ATTRIBUTE
        return UNKNOWN_ATTRIBUTE

    def _clean(self, text: str, marks: int) -> str:
        return self.ignore.pattern.sub(CUT, text) if self.ignore and self.ignore.gate.admits(marks) else text


def load_rules(vocabulary: str) -> Mapping[str, FieldRules]:
    """field -> its rules, from ``fvrec/vocab/<vocabulary>.toml``. FvrecError on a value outside the schema."""
    return _load(vocabulary).fields


def texts_for(vocabulary: str, by_scope: Mapping[str, str]) -> Texts:
    """``by_scope`` (scope -> lower-case text) as the rules of ``vocabulary`` read it."""
    index = _load(vocabulary).index
    return Texts(by_scope, {scope: index.marks(text) for scope, text in by_scope.items()})


@dataclass(frozen=True)
class _Book:
    fields: Mapping[str, FieldRules]
    index: CueIndex


@cache
def _load(vocabulary: str) -> _Book:
    data = vocab.load(vocabulary)
    patterns = _Patterns(data.get("fragments", {}))
    fields = {field: _field(field, data, patterns, vocabulary) for field in FIELDS if field in data}
    return _Book(fields, patterns.index)


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
    """Makes the patterns of one vocabulary, and the index of their cues."""

    def __init__(self, fragments: Mapping[str, str]) -> None:
        self.index = CueIndex()
        self._fragments = fragments

    def rule(self, alternatives: Sequence[str], where: str) -> Rule:
        alternatives = [self._whole(each) for each in alternatives]
        try:
            pattern = re.compile("|".join(f"(?:{each})" for each in alternatives))
            return Rule(pattern, self.index.gate(alternatives))
        except re.error as error:
            raise FvrecError("a rule is no regular expression", where=where, found=str(error)) from error

    def _whole(self, text: str) -> str:
        for name, fragment in self._fragments.items():
            text = text.replace("{" + name + "}", fragment)
        return text
