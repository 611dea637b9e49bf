"""Evaluation queries made from held-out items, with the constraints that a right reading of them has.

A query describes one item: one to four of its attributes that the source labels, now and then an alternative ("blue or
white"), an exclusion of a value that the item does not have, or a mere preference. ``phrasing`` writes its text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fvrec.errors import FvrecError
from fvrec.records import Item
from fvrec.rerank.constraints import LANGUAGES, Constraint, Constraints, Language
from fvrec.rerank.labels import source_labels
from fvrec.rerank.parser_score import exactly
from fvrec.rerank.phrasing import phrase, softly_excludable
from fvrec.schema import FIELDS, OTHER, UNKNOWN, VALUES

MOST_CONSTRAINTS = 4
ALTERNATIVE_SHARE = 0.15
EXCLUSION_SHARE = 0.3
SOFT_SHARE = 0.2
_NO_ALTERNATIVE = ("category", "gender", "season", "sleeve_length", "neckline")


@dataclass(frozen=True)
class EvalQuery:
    """One request, the item it was made from, and its expected reading (no spans)."""

    query_id: str
    text: str
    expected: Constraints
    item_id: str

    @property
    def language(self) -> Language:
        """Language of the text."""
        return self.expected.language

    def read_rightly(self, parsed: Constraints) -> bool:
        """Whether ``parsed`` has exactly the expected wanted and excluded values and strengths, field by field."""
        return exactly(self.expected, parsed)


def generate(items: Sequence[Item], fields: Sequence[str], *, n: int, seed: int) -> list[EvalQuery]:
    """``n`` queries about ``items``, using only ``fields``; languages alternate and 1 to 4 constraints take turns.

    An item with too few labelled fields gives a shorter query; one with none is passed over. Raises FvrecError when no
    item has a known value in ``fields``. The same items in the same order and seed give the same queries.
    """
    usable = [item for item in items if _known(item, fields)]
    if not usable or n < 0:
        raise FvrecError("no item has a known value to ask for", where="rerank queries", found=list(fields))
    rng = np.random.default_rng(seed)
    queries = []
    for index in range(n):
        item = usable[int(rng.integers(len(usable)))]
        language = LANGUAGES[index % len(LANGUAGES)]
        size = 1 + (index // len(LANGUAGES)) % MOST_CONSTRAINTS
        expected = _constraints(item, fields, size, language, rng)
        queries.append(EvalQuery(f"q{index + 1:04d}", phrase(expected, rng), expected, item.item_id))
    return queries


def write_queries(path: Path, queries: Sequence[EvalQuery]) -> None:
    """One JSON object a line (``data/eval/rerank_eval.jsonl``), replaced as a whole."""
    lines = [json.dumps(_as_json(query), ensure_ascii=False) for query in queries]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    temporary.replace(path)


def read_queries(path: Path) -> list[EvalQuery]:
    """What ``write_queries`` wrote. Raises FvrecError with the line at fault."""
    queries = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            expected = read_expected(row)
            queries.append(EvalQuery(row["query_id"], row["text"], expected, row["item_id"]))
        except (ValueError, KeyError, TypeError) as error:
            raise FvrecError("not a rerank query", where=f"{path}:{number}", found=str(error)) from error
    return queries


def _as_json(query: EvalQuery) -> dict[str, Any]:
    return {
        "query_id": query.query_id,
        "text": query.text,
        "language": query.language,
        "wanted": {field: sorted(values) for field, values in query.expected.wanted.items()},
        "excluded": {field: sorted(values) for field, values in query.expected.excluded.items()},
        "soft_wanted": _soft(query.expected, excluded=False),
        "soft_excluded": _soft(query.expected, excluded=True),
        "item_id": query.item_id,
    }


def read_expected(row: Mapping[str, Any]) -> Constraints:
    """The reading that one JSON object of a query file expects. Raises KeyError, TypeError or FvrecError for others.

    Keys: ``language``, ``wanted`` and ``excluded`` (field -> values), and, where some are soft, their fields under
    ``soft_wanted`` and ``soft_excluded``.
    """
    made = Constraints.of(row["wanted"], row["excluded"], row["language"])
    soft = {False: row.get("soft_wanted", ()), True: row.get("soft_excluded", ())}
    return replace(made, constraints=tuple(_weakened(c, c.field in soft[c.excluded]) for c in made.constraints))


def _weakened(constraint: Constraint, soft: bool) -> Constraint:
    return replace(constraint, strength="soft") if soft else constraint


def _soft(constraints: Constraints, *, excluded: bool) -> list[str]:
    return [c.field for c in constraints.constraints if c.strength == "soft" and c.excluded == excluded]


def _known(item: Item, fields: Sequence[str]) -> list[str]:
    labels = source_labels(item)
    return [field for field in FIELDS if field in fields and labels.get(field, OTHER) != OTHER]


def _constraints(
    item: Item, fields: Sequence[str], size: int, language: Language, rng: np.random.Generator
) -> Constraints:
    known = _known(item, fields)
    chosen = [known[at] for at in rng.permutation(len(known))[:size]]
    # At most one exclusion, and never the whole request: "not red" alone describes no item.
    excluded = chosen.pop() if len(chosen) > 1 and rng.random() < EXCLUSION_SHARE else None
    wanted = {field: _wanted(field, item.values[field], rng) for field in chosen}
    taken_back = {excluded: {_other(excluded, item.values[excluded], rng)}} if excluded else {}
    made = Constraints.of(wanted, taken_back, language)
    return replace(made, constraints=_with_a_preference(made.constraints, rng))


def _with_a_preference(constraints: tuple[Constraint, ...], rng: np.random.Generator) -> tuple[Constraint, ...]:
    """Now and then one constraint is soft: never a category, and never the only one."""
    able = [
        at
        for at, constraint in enumerate(constraints)
        if (softly_excludable(constraint.field) if constraint.excluded else constraint.field != "category")
    ]
    if len(constraints) < 2 or not able or rng.random() >= SOFT_SHARE:
        return constraints
    chosen = able[int(rng.integers(len(able)))]
    return tuple(_weakened(constraint, at == chosen) for at, constraint in enumerate(constraints))


def _wanted(field: str, value: str, rng: np.random.Generator) -> set[str]:
    if field not in _NO_ALTERNATIVE and rng.random() < ALTERNATIVE_SHARE:
        return {value, _other(field, value, rng)}
    return {value}


def _other(field: str, value: str, rng: np.random.Generator) -> str:
    others = [other for other in VALUES[field] if other not in (value, UNKNOWN, OTHER)]
    return others[int(rng.integers(len(others)))]
