"""Which of many regular expressions can match a text at all, told by its words: most rules are silent on most texts.

A pattern's cues are literals that every match holds (the prefilter of fast regular-expression engines; see Cox,
"Regular Expression Matching with a Trigram Index", 2012). One look at each word of a text, remembered for the next
text, then stands for hundreds of searches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

_PREFIX = 2
_ALWAYS = 1
_MAX_KNOWN = 1 << 16
_SHORT = 48
"""Longer words and texts are looked at each time: remembering them would cost memory without bound."""


def cues_of(pattern: str) -> frozenset[frozenset[str]]:
    """What every match of ``pattern`` holds: of each set at least one literal (two characters or more, no white space).

    Empty when there is nothing that a match must hold, or when case does not count.

    >>> [sorted(cues) for cues in cues_of(r"\\b(?:rain|over)coats?\\b(?! dress)")]
    [['coat']]
    """
    parsed = _parser.parse(pattern)
    return frozenset() if parsed.state.flags & re.IGNORECASE else frozenset(_needed(parsed))


@dataclass(frozen=True)
class Gate:
    """Lets through the texts that a pattern may match. ``any_of``: marks, one of which must be there in full."""

    any_of: tuple[int, ...]

    @property
    def bits(self) -> int:
        """All marks that it looks at."""
        return reduce(or_, self.any_of, 0)

    def admits(self, marks: int) -> bool:
        """Whether a text with these ``marks``, or what is left of it after cuts, may hold a match."""
        return any(needed & marks == needed for needed in self.any_of)


class CueIndex:
    """The cues of many patterns. Add all patterns before the first text is marked."""

    def __init__(self) -> None:
        self._bits: dict[frozenset[str], int] = {}
        self._by_prefix: dict[str, list[tuple[str, int]]] = {}
        self._known: dict[str, int] = {}

    def gate(self, alternatives: Sequence[str]) -> Gate:
        """The gate of a pattern that is any of ``alternatives``."""
        any_of = [sum({self._bit(cues) for cues in cues_of(each)}) or _ALWAYS for each in alternatives]
        return Gate(tuple(dict.fromkeys(any_of)))

    def marks(self, text: str) -> int:
        """The bits of the cues that ``text`` holds."""
        known = self._known
        marks = known.get(text)
        if marks is None:
            marks = _ALWAYS
            for word in text.split():
                bits = known.get(word)
                marks |= self._look(word) if bits is None else bits
            self._remember(text, marks)
        return marks

    def _bit(self, cues: frozenset[str]) -> int:
        if cues not in self._bits:
            self._bits[cues] = bit = _ALWAYS << (len(self._bits) + 1)
            for cue in cues:
                self._by_prefix.setdefault(cue[:_PREFIX], []).append((cue, bit))
        return self._bits[cues]

    def _look(self, word: str) -> int:
        bits = _ALWAYS
        for at in range(len(word) - _PREFIX + 1):
            for cue, bit in self._by_prefix.get(word[at : at + _PREFIX], ()):
                if word.startswith(cue, at):
                    bits |= bit
        self._remember(word, bits)
        return bits

    def _remember(self, text: str, marks: int) -> None:
        if len(text) <= _SHORT:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[text] = marks


def _needed(sequence: Sequence[tuple[Any, Any]]) -> Iterator[frozenset[str]]:
    """What a sequence needs is what each of its parts needs; letters that stand together are one literal."""
    run = ""
    for code, argument in [*sequence, (op.AT, None)]:
        character = chr(argument) if code is op.LITERAL else " "
        if not character.isspace():
            run += character
            continue
        if len(run) >= _PREFIX:
            yield frozenset([run])
        run = ""
        yield from _of_part(code, argument)


def _of_part(code: Any, argument: Any) -> Iterator[frozenset[str]]:
    if code is op.SUBPATTERN and not argument[1] & re.IGNORECASE:
        yield from _needed(argument[-1])
    elif code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT) and argument[0] > 0:
        yield from _needed(argument[2])
    elif code is op.ATOMIC_GROUP:
        yield from _needed(argument)
    elif code is op.BRANCH:
        # Of each branch the longest literal: any text that takes the branch holds it.
        branches = [max(_needed(each), key=lambda cues: min(map(len, cues)), default=None) for each in argument[1]]
        if all(branches):
            yield frozenset().union(*branches)  # type: ignore[arg-type]
