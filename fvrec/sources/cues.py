"""Which of many regular expressions can match a text at all, told by its words: most rules are silent on most texts.

A pattern's cues are literals of which every match holds at least one (the prefilter of fast regular-expression
engines; see Cox, "Regular Expression Matching with a Trigram Index", 2012). One look at each word of a text, remembered
for the next text, then stands for hundreds of searches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

_PREFIX = 2
_MAX_WORDS = 1 << 16
_MAX_WORD = 32
"""Longer words are looked at each time: they are rare, and remembering them would cost memory without bound."""


def cues_of(pattern: str) -> frozenset[str]:
    """Literals without white space, of two characters or more, one of which occurs in whatever ``pattern`` matches.

    Empty when there is nothing that a match must hold. Flags that ignore case are not heeded.

    >>> sorted(cues_of(r"\\b(?:rain|over)coats?\\b|\\bparkas?\\b(?! dress)"))
    ['coat', 'parka']
    """
    return _needed(_parser.parse(pattern))


class CueIndex:
    """Many patterns, numbered; ``candidates`` tells which of them a text may match."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._always = 0
        self._by_prefix: dict[str, list[tuple[str, int]]] = {}
        self._known: dict[str, int] = {}
        for number, pattern in enumerate(patterns):
            cues = cues_of(pattern)
            self._always |= 0 if cues else 1 << number
            for cue in cues:
                self._by_prefix.setdefault(cue[:_PREFIX], []).append((cue, 1 << number))

    def candidates(self, text: str) -> int:
        """Bit ``n`` is set unless pattern ``n`` surely occurs neither in ``text`` nor in what is left of it after cuts
        that put white space in their place."""
        found, known = self._always, self._known
        for word in text.split():
            bits = known.get(word)
            found |= self._look(word) if bits is None else bits
        return found

    def _look(self, word: str) -> int:
        bits = 0
        for at in range(len(word) - _PREFIX + 1):
            for cue, bit in self._by_prefix.get(word[at : at + _PREFIX], ()):
                if word.startswith(cue, at):
                    bits |= bit
        if len(word) <= _MAX_WORD:
            if len(self._known) >= _MAX_WORDS:
                self._known.clear()
            self._known[word] = bits
        return bits


def _needed(sequence: Sequence[tuple[Any, Any]]) -> frozenset[str]:
    """The best of what the parts of a sequence need: few cues, long ones."""
    choices, run = [], ""
    for code, argument in [*sequence, (op.AT, None)]:
        character = chr(argument) if code is op.LITERAL else " "
        if not character.isspace():
            run += character
            continue
        choices += [frozenset([run])] if len(run) >= _PREFIX else []
        run = ""
        choices += [_of_part(code, argument)]
    return max(filter(None, choices), key=lambda cues: (min(map(len, cues)), -len(cues)), default=frozenset())


def _of_part(code: Any, argument: Any) -> frozenset[str]:
    if code is op.SUBPATTERN:
        return _needed(argument[-1])
    if code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT) and argument[0] > 0:
        return _needed(argument[2])
    if code is op.ATOMIC_GROUP:
        return _needed(argument)
    if code is op.BRANCH:
        branches = [_needed(branch) for branch in argument[1]]
        return frozenset().union(*branches) if all(branches) else frozenset()
    return frozenset()
