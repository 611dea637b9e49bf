"""Attributes from a shop's prose: ordered tiers of patterns, which are data (see ``fvrec/vocab/hm_rules.toml``).

A field's rules are tried tier by tier. The first tier that finds something decides: one value is the answer; several
are a contradiction, which is ``unknown`` unless the tier prefers the one that is said first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from fvrec import vocab
from fvrec.errors import FvrecError
from fvrec.records import AttributeValue, Origin
from fvrec.schema import FIELDS, VALUES
from fvrec.sources.base import UNKNOWN_ATTRIBUTE

_SETTINGS = {"scope", "origin", "prefer"}


@dataclass(frozen=True)
class Tier:
    """Patterns of equal weight, read in the text named ``scope``."""

    scope: str
    origin: Origin
    first_wins: bool
    patterns: Mapping[str, re.Pattern[str]]

    def find(self, text: str) -> tuple[str, ...]:
        """The values whose pattern occurs; only the one said first where that is to win."""
        hits = [(found.start(), value) for value, pattern in self.patterns.items() if (found := pattern.search(text))]
        values = [value for _, value in sorted(hits)]
        return tuple(values[:1] if self.first_wins else values)


@dataclass(frozen=True)
class FieldRules:
    """The rules of one field. ``ignore``: what is cut out of every text first, because it speaks of something else."""

    field: str
    categories: frozenset[str]
    ignore: re.Pattern[str] | None
    tiers: Sequence[Tier]

    def read(self, texts: Mapping[str, str], category: str) -> AttributeValue:
        """The value that ``texts`` (scope -> lower-case text) tell of a product of ``category``, or ``unknown``."""
        if self.categories and category not in self.categories:
            return UNKNOWN_ATTRIBUTE
        cleaned: dict[str, str] = {}
        for tier in self.tiers:
            if tier.scope not in cleaned:
                cleaned[tier.scope] = self.ignore.sub(" … ", texts[tier.scope]) if self.ignore else texts[tier.scope]
            if values := tier.find(cleaned[tier.scope]):
                return AttributeValue(values[0], tier.origin) if len(values) == 1 else UNKNOWN_ATTRIBUTE
        return UNKNOWN_ATTRIBUTE


@cache
def load_rules(vocabulary: str) -> Mapping[str, FieldRules]:
    """field -> its rules, from ``fvrec/vocab/<vocabulary>.toml``. FvrecError on a value outside the schema."""
    data = vocab.load(vocabulary)
    return {field: _field(field, data[field], data, vocabulary) for field in FIELDS if field in data}


def _field(field: str, table: Mapping[str, Any], data: Mapping[str, Any], vocabulary: str) -> FieldRules:
    groups = data.get("groups", {})
    categories = frozenset(value for group in table.get("applies_to", ()) for value in groups[group])
    fragments = data.get("fragments", {})
    where = f"fvrec/vocab/{vocabulary}.toml [{field}]"
    return FieldRules(
        field,
        categories,
        _pattern(table["ignore"], fragments, where) if table.get("ignore") else None,
        tuple(_tier(field, tier, fragments, where) for tier in table["tiers"]),
    )


def _tier(field: str, tier: Mapping[str, Any], fragments: Mapping[str, str], where: str) -> Tier:
    values = [name for name in tier if name not in _SETTINGS]
    strange = [value for value in values if value not in VALUES[field]]
    if strange:
        raise FvrecError("a rule's value is outside the schema", where=where, found=strange[0], allowed=VALUES[field])
    return Tier(
        scope=tier["scope"],
        origin=tier.get("origin", "rule"),
        first_wins=tier.get("prefer") == "first",
        patterns={value: _pattern(tier[value], fragments, where) for value in values},
    )


def _pattern(alternatives: Sequence[str], fragments: Mapping[str, str], where: str) -> re.Pattern[str]:
    text = "|".join(f"(?:{each})" for each in alternatives)
    for name, fragment in fragments.items():
        text = text.replace("{" + name + "}", fragment)
    try:
        return re.compile(text)
    except re.error as error:
        raise FvrecError("a rule is no regular expression", where=where, found=str(error)) from error
