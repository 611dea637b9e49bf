"""One line of H&M's articles.csv -> the ten fields of schema v1.

category, color, pattern and gender are columns; where a column names several things (``Trousers`` are jeans, too), the
description says which. material, fit, sleeve_length and neckline are read out of the description by rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from fvrec import vocab
from fvrec.records import AttributeValue
from fvrec.schema import UNKNOWN
from fvrec.sources.base import UNKNOWN_ATTRIBUTE, complete
from fvrec.sources.raw_values import canonical
from fvrec.sources.text_rules import load_rules, texts_for

VOCABULARY, RULES = "hm", "hm_rules"
COLUMNS: Mapping[str, str] = {
    "category": "product_type_name",
    "color": "colour_group_name",
    "pattern": "graphical_appearance_name",
    "gender": "index_name",
}
"""field -> the column that labels it."""
MASTER_COLOR = "perceived_colour_master_name"
TITLE, DESCRIPTION, SECTION, DEPARTMENT = "prod_name", "detail_desc", "section_name", "department_name"
TEXTS = (TITLE, DESCRIPTION, SECTION, DEPARTMENT)
TABLES: Mapping[str, str] = {**COLUMNS, "color_master": MASTER_COLOR}
"""table of the vocabulary -> the column whose values it maps."""

# "Kangol x H&M." says with whom it was designed; what it is comes after.
_OPENING = re.compile(r"^(?:[^.]{0,40}\bx h&m[^.]*\.|h&m[^.]{0,30}\.|conscious[^.]{0,20}\.)\s*")
_HEAD_ENDS = re.compile(r"\s+with\s|\.(?:\s|$)|;|\s+that\s|\s+featuring\s")
_THING_ENDS = re.compile(r"\s+(?:in|made|woven|knitted|of|for)\s")


def texts_of(values: Mapping[str, str]) -> dict[str, str]:
    """The texts that rules read, by scope, in lower case.

    >>> texts_of({"detail_desc": "Short dress in airy linen with a collar.", **dict.fromkeys(TEXTS[2:], ""),
    ...           "prod_name": "Lin"})["head"]
    'short dress in airy linen'
    """
    texts = {name: values[name].lower() for name in TEXTS}
    description = _OPENING.sub("", texts[DESCRIPTION])
    head = _HEAD_ENDS.split(description, maxsplit=1)[0]
    return {
        **texts,
        DESCRIPTION: description,
        "head": head,
        "thing": _THING_ENDS.split(head, maxsplit=1)[0],
        "title_and_head": f"{texts[TITLE]} … {head}",
        "title_and_desc": f"{texts[TITLE]} … {description}",
        "section_and_department": f"{texts[SECTION]} … {texts[DEPARTMENT]}",
    }


def attributes_of(values: Mapping[str, str]) -> dict[str, AttributeValue]:
    """All ten fields of one article, each with its origin."""
    kind, appearance = values[COLUMNS["category"]], values[COLUMNS["pattern"]]
    told = _told(kind, tuple(values[name] for name in TEXTS))
    cloth = canonical(VOCABULARY, "material", appearance)
    return complete(
        {
            **told,
            "category": told.get("category", UNKNOWN_ATTRIBUTE),
            "color": _color(values[COLUMNS["color"]], values[MASTER_COLOR]),
            "pattern": _pattern(appearance, told.get("pattern")),
            "gender": told.get("gender") or canonical(VOCABULARY, "gender", values[COLUMNS["gender"]]),
            "material": cloth if cloth.value != UNKNOWN else told.get("material", UNKNOWN_ATTRIBUTE),
        }
    )


@lru_cache(maxsize=1024)  # the colours of one product share their texts and stand beside each other in the table
def _told(kind: str, texts: tuple[str, ...]) -> Mapping[str, AttributeValue]:
    """field -> what names and description tell; fields that they are silent about are left out."""
    rules = load_rules(RULES)
    scopes = texts_for(RULES, texts_of(dict(zip(TEXTS, texts, strict=True))))
    settled = kind in vocab.load(RULES)["settle"]["types"] and rules["category"].read(scopes, "")
    category = settled if settled and settled.value != UNKNOWN else canonical(VOCABULARY, "category", kind)
    found = {field: rule.read(scopes, category.value) for field, rule in rules.items() if field != "category"}
    return {field: value for field, value in {**found, "category": category}.items() if value.value != UNKNOWN}


@lru_cache(maxsize=1024)
def _color(group: str, master: str) -> AttributeValue:
    """The colour group; a pair whose master name tells more, or the master name where the group is silent."""
    pair = canonical(VOCABULARY, "color", f"{group}/{master}", table="color_pair")
    if pair.value != UNKNOWN:
        return pair
    by_group = canonical(VOCABULARY, "color", group)
    return by_group if by_group.value != UNKNOWN else canonical(VOCABULARY, "color", master, table="color_master")


def _pattern(appearance: str, told: AttributeValue | None) -> AttributeValue:
    """The column; where it says only that there is a pattern, or nothing, the name or the description may say which."""
    by_column = canonical(VOCABULARY, "pattern", appearance)
    return told if told and by_column.value in ("printed", UNKNOWN) else by_column
