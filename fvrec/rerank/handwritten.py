"""Requests as shoppers type them, written by hand with their expected readings before the parser could read them.

Two sets, each a file that the parser never reads: ``handwritten_queries`` (written first, the parser was then worked on
until it read them) and ``fresh_queries`` (written when that work was over, and never tuned on).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

from fvrec.errors import FvrecError
from fvrec.rerank.constraints import Constraints, Language, parse
from fvrec.rerank.queries import read_expected

SETS = ("handwritten_queries", "fresh_queries")


@dataclass(frozen=True)
class ParserCase:
    """One request with the turns ``before`` it, and the reading that it should have on top of them."""

    query_id: str
    text: str
    before: tuple[str, ...]
    expected: Constraints

    @property
    def language(self) -> Language:
        """Language of the text."""
        return self.expected.language

    def parsed(self) -> Constraints:
        """What the parser makes of it, turn by turn."""
        standing: Constraints | None = None
        for turn in (*self.before, self.text):
            standing = parse(turn, standing)
        return standing if standing is not None else Constraints()


@cache
def handwritten(name: str) -> tuple[ParserCase, ...]:
    """The cases of one of ``SETS``. FvrecError for any other name."""
    if name not in SETS:
        raise FvrecError("no such set of handwritten queries", found=name, allowed=SETS)
    text = resources.files("fvrec.vocab").joinpath(f"{name}.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return tuple(ParserCase(row["query_id"], row["text"], tuple(row["before"]), read_expected(row)) for row in rows)
