"""From tokens to mentions: which values a text names, whether it wants them, how strongly, and what it takes back.

Scopes, all within one clause (a punctuation mark or a word such as "but" ends it):

- a negation covers the next value and those of the same field after it, and reaches a value of another field only
  over a join ("no stripes or leather"); behind a value it covers the values before it (黑色不要);
- in a negated compound ("no denim jackets") the category stays out of it: the rest is excluded;
- "ideally" and its like make the values after them soft (those before them when none follows), but not a category
  beside other values: 最好是棉的连衣裙 asks for a dress. Everything else is hard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from fvrec.rerank.lexicon import BREAK, FIELD, FILLER, Token

Strength = Literal["hard", "soft"]
_OPEN_CHOICE_TOKENS = 8  # "any colour at all, really, but red": longer clauses are no such phrase


@dataclass(frozen=True)
class Mention:
    """One field's values as one phrase names them, at ``[start, end)`` of the text."""

    field: str
    values: frozenset[str]
    excluded: bool
    strength: Strength
    start: int
    end: int


@dataclass(frozen=True)
class Request:
    """What one text asks: mentions in order, fields it no longer cares for, and how it treats the standing request."""

    mentions: tuple[Mention, ...]
    dropped: frozenset[str]
    resets: bool
    adds: bool
    unrecognised: tuple[tuple[int, int], ...]


def read_request(tokens: Sequence[Token]) -> Request:
    """The request that the tokens make (see the module's docstring)."""
    mentions: list[Mention] = []
    dropped: set[str] = set()
    for clause in _clauses(tokens):
        named = _dropped_fields(clause)
        dropped |= named
        mentions = _replaced(mentions, clause) + _ClauseReader(clause, open_choice=bool(named)).read()
    return Request(
        mentions=tuple(mentions),
        dropped=frozenset(dropped),
        resets=any(token.has("reset") for token in tokens),
        adds=any(token.has("add") for token in tokens),
        unrecognised=_unrecognised(tokens),
    )


@dataclass
class _ClauseReader:
    """Reads one clause from left to right; the fields below are its state between two tokens."""

    clause: Sequence[Token]
    open_choice: bool
    found: list[Mention] = field(default_factory=list)
    joins: list[bool] = field(default_factory=list)
    negated: bool = False
    negated_field: str | None = None
    gentle: bool = False
    joined: bool = False

    def read(self) -> list[Mention]:
        last_value = max((at for at, token in enumerate(self.clause) if token.values), default=-1)
        for at, token in enumerate(self.clause):
            if token.values:
                self._value(token)
            elif token.has("join"):
                self.joined = True
            elif token.has("negate_before") and at > last_value:
                self._exclude_before()
            elif token.has("negate") or token.has("negate_softly") or (self.open_choice and token.has("but")):
                self.negated, self.negated_field = True, None
                self.gentle = token.has("negate_softly")
        return self._softened()

    def _value(self, token: Token) -> None:
        fields = list(token.values)
        if self.negated and self.negated_field is not None and not self.joined and self.negated_field not in fields:
            self.negated = False
        if self.negated and len(fields) > 1:
            fields = [name for name in fields if name != "category"]
        strength: Strength = "soft" if self.negated and self.gentle else "hard"
        for name in fields:
            self.found.append(Mention(name, token.values[name], self.negated, strength, token.start, token.end))
            self.joins.append(self.joined)
        self.negated_field, self.joined = fields[-1], False

    def _exclude_before(self) -> None:
        at = len(self.found) - 1
        while at >= 0:
            self.found[at] = replace(self.found[at], excluded=True)
            if at == 0 or not (self.joins[at] or self.found[at - 1].field == self.found[at].field):
                break
            at -= 1

    def _softened(self) -> list[Mention]:
        marker = next((token for token in self.clause if token.has("soft")), None)
        if marker is None:
            return self.found
        after = [mention for mention in self.found if mention.start >= marker.end]
        covered = after or self.found
        only_category = all(mention.field == "category" for mention in covered)
        return [
            replace(mention, strength="soft")
            if (not after or mention.start >= marker.end) and (mention.field != "category" or only_category)
            else mention
            for mention in self.found
        ]


def _clauses(tokens: Sequence[Token]) -> list[list[Token]]:
    clauses: list[list[Token]] = [[]]
    for token in tokens:
        # "any colour but red": the one "but" that opens no new clause.
        open_choice = (
            token.has("but") and len(clauses[-1]) <= _OPEN_CHOICE_TOKENS and bool(_dropped_fields(clauses[-1]))
        )
        if token.has(BREAK) and not open_choice:
            # The opening word stays: "instead" and "换成" also say what becomes of the values before them.
            clauses.append([token])
        else:
            clauses[-1].append(token)
    return clauses


def _dropped_fields(clause: Sequence[Token]) -> set[str]:
    """Fields named right before or after a word such as "any" or 不限."""
    bare = [token for token in clause if token.has("drop") or token.has(FIELD) or not token.has(FILLER)]
    named = set()
    for first, second in pairwise(bare):
        for name, word in ((first, second), (second, first)):
            if name.has(FIELD) and word.has("drop") and name.entry is not None:
                named.add(name.entry.field_name)
    return named


def _replaced(before: list[Mention], clause: Sequence[Token]) -> list[Mention]:
    """把黑色换成红色: what stands before the word of change gives way to what follows, field by field."""
    if not any(token.has("replace") for token in clause):
        return before
    fields = {name for token in clause for name in token.values}
    return [mention for mention in before if mention.field not in fields]


def _unrecognised(tokens: Sequence[Token]) -> tuple[tuple[int, int], ...]:
    """Spans of what the lexicon lacks; neighbours without a gap are one span."""
    spans: list[tuple[int, int]] = []
    for token in tokens:
        if token.entry is None:
            if spans and spans[-1][1] == token.start:
                spans[-1] = (spans[-1][0], token.end)
            else:
                spans.append((token.start, token.end))
    return tuple(spans)
