"""Requests as shoppers type them, written by hand with their expected readings before the parser could read them.

Five sets, each a file that the parser never reads, in the order in which they were written:

- ``handwritten_queries``: first of all; the parser was then worked on until it read them;
- ``fresh_queries``: when that work was over. Later work looked at what it got wrong here, so it is fresh no longer;
- ``blind_open_queries`` and ``blind_held_queries``: one set cut in two at random before the words were widened; that
  work looked at the failures of the first half, and read the second half once, when it was over;
- ``blind_late_queries``: written after that, and read once. Some of what failed in the held and late sets was mended
  afterwards.

The figures of the first readings, before anything was mended for a set, are in ``FIRST_READING``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

from fvrec.errors import FvrecError
from fvrec.rerank.constraints import Constraints, Language, parse
from fvrec.rerank.queries import read_expected

SETS = ("handwritten_queries", "fresh_queries", "blind_open_queries", "blind_held_queries", "blind_late_queries")

FIRST_READING: dict[str, dict[Language, float]] = {
    "fresh_queries": {"zh": 14 / 20, "en": 15 / 20},
    "blind_held_queries": {"zh": 31 / 32, "en": 26 / 32},
    "blind_late_queries": {"zh": 37 / 40, "en": 35 / 40},
}
"""set -> language -> exact match when it was read for the first time: what to expect of requests not seen before."""


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
