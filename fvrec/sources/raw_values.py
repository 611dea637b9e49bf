"""A source's own words -> canonical values, by the tables of its vocabulary file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache

from fvrec import vocab
from fvrec.errors import FvrecError
from fvrec.records import AttributeValue
from fvrec.schema import OTHER, UNKNOWN
from fvrec.sources.base import UNKNOWN_ATTRIBUTE
from fvrec.sources.table import Line


@lru_cache(maxsize=1024)
def canonical(vocabulary: str, field: str, raw: str, table: str = "") -> AttributeValue:
    """What ``raw`` means, in any case and spacing around it; ``table`` names the table where it is not the field.

    A category that the vocabulary never saw is still a product of some kind (``other``); any other new word tells
    nothing (``unknown``). An empty word is ``unknown`` in every field.
    """
    word = raw.strip().lower()
    unseen = OTHER if field == "category" and word else UNKNOWN
    value = words(vocabulary, table or field).get(word, unseen)
    return UNKNOWN_ATTRIBUTE if value == UNKNOWN else AttributeValue(value, "source")


def count_values(lines: Iterable[Line], tables: Mapping[str, str]) -> dict[str, Counter[str]]:
    """table -> the filled cells of its column with their counts, by one pass that holds a row at a time.

    tables: table of a vocabulary -> column of the source.
    """
    counts: dict[str, Counter[str]] = {table: Counter() for table in tables}
    for line in lines:
        for table, column in tables.items():
            if raw := line.values.get(column, ""):
                counts[table][raw] += 1
    return counts


def unmapped(vocabulary: str, tables: Mapping[str, Counter[str]]) -> dict[str, Counter[str]]:
    """table -> its raw values that the vocabulary does not name, with their counts; tables without any are left out."""
    found = {
        table: Counter(
            {raw: count for raw, count in raws.items() if raw.strip().lower() not in words(vocabulary, table)}
        )
        for table, raws in tables.items()
    }
    return {table: counts for table, counts in found.items() if counts}


@cache
def words(vocabulary: str, table: str) -> Mapping[str, str]:
    """The table ``[table]`` of ``fvrec/vocab/<vocabulary>.toml`` with its keys in lower case.

    FvrecError when two spellings of one word disagree.
    """
    lowered: dict[str, str] = {}
    for raw, value in vocab.load(vocabulary)[table].items():
        if lowered.setdefault(raw.lower(), value) != value:
            raise FvrecError("a raw value is mapped twice", where=f"{vocabulary}.toml [{table}]", found=raw)
    return lowered
