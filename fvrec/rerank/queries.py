"""Evaluation queries made from held-out items, with the constraints that a right reading of them has.

A query describes one item: one to four of its attributes that the source labels, now and then an alternative ("blue or
white") or an exclusion of a value that the item does not have. Its words come from ``vocab/query_phrases.toml``, which
the parser never reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fvrec import vocab
from fvrec.errors import FvrecError
from fvrec.records import Item
from fvrec.rerank.constraints import LANGUAGES, Constraint, Constraints, Language
from fvrec.rerank.labels import source_labels
from fvrec.schema import FIELDS, OTHER, UNKNOWN, VALUES

MOST_CONSTRAINTS = 4
ALTERNATIVE_SHARE = 0.15
EXCLUSION_SHARE = 0.3
_NO_ALTERNATIVE = ("category", "gender", "season", "sleeve_length", "neckline")


@dataclass(frozen=True)
class EvalQuery:
    """One request, the item it was made from, and its expected reading (all strengths hard, no spans)."""

    query_id: str
    text: str
    expected: Constraints
    item_id: str

    @property
    def language(self) -> Language:
        """Language of the text."""
        return self.expected.language

    def read_rightly(self, parsed: Constraints) -> bool:
        """Whether ``parsed`` has exactly the expected wanted and excluded values, field by field."""
        same_wishes = dict(parsed.wanted) == dict(self.expected.wanted)
        return same_wishes and dict(parsed.excluded) == dict(self.expected.excluded)


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
        queries.append(EvalQuery(f"q{index + 1:04d}", _text(expected, rng), expected, item.item_id))
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
            expected = Constraints.of(row["wanted"], row["excluded"], row["language"])
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
        "item_id": query.item_id,
    }


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
    return Constraints.of(wanted, taken_back, language)


def _wanted(field: str, value: str, rng: np.random.Generator) -> set[str]:
    if field not in _NO_ALTERNATIVE and rng.random() < ALTERNATIVE_SHARE:
        return {value, _other(field, value, rng)}
    return {value}


def _other(field: str, value: str, rng: np.random.Generator) -> str:
    others = [other for other in VALUES[field] if other not in (value, UNKNOWN, OTHER)]
    return others[int(rng.integers(len(others)))]


def _text(constraints: Constraints, rng: np.random.Generator) -> str:
    words = vocab.load("query_phrases")[constraints.language]
    by_field = {c.field: _phrase(c, words, rng) for c in constraints.constraints if not c.excluded}
    noun = by_field.pop("category", None) or _pick(words["nouns"], rng)
    before = [by_field[field] for field in words["before"] if field in by_field]
    after = [by_field[field] for field in words["after"] if field in by_field]
    excluded = [_exclusion(c, words, rng) for c in constraints.constraints if c.excluded]
    if constraints.language == "zh":
        body = "".join([*(f"{phrase}的" for phrase in before), noun, *excluded])
    else:
        body = " ".join([*before, noun, *after, *excluded])
    return f"{_pick(words['openings'], rng)}{body}{_pick(words['endings'], rng)}"


def _phrase(constraint: Constraint, words: Mapping[str, Any], rng: np.random.Generator) -> str:
    forms = [
        _pick(words[constraint.field][value], rng) for value in VALUES[constraint.field] if value in constraint.values
    ]
    return str(words["either"].format(*forms)) if len(forms) == 2 else forms[0]


def _exclusion(constraint: Constraint, words: Mapping[str, Any], rng: np.random.Generator) -> str:
    frame = _pick(words["exclude"][constraint.field], rng)
    form = _phrase(constraint, words, rng)
    for opening in ("with a ", "with an ", "with ", "that is ", "for a ", "for my ", "for the ", "for "):
        form = form.removeprefix(opening)
    return frame.format(form)


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
