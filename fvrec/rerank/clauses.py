"""From tokens to clauses, and what can be told of a clause without reading its values."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise

from fvrec.rerank.lexicon import BREAK, FIELD, FILLER, Token

_OPEN_CHOICE_TOKENS = 8  # "any colour at all, really, but red": longer clauses are no such phrase
_LONGEST_LIST = 12  # more commas than the schema has colours are no list of values


def split_clauses(tokens: Sequence[Token]) -> list[list[Token]]:
    """The tokens clause by clause. The word that opens a clause stays in it: "instead" says more than "here begins"."""
    clauses: list[list[Token]] = [[]]
    for token in tokens:
        last = clauses[-1]
        # "any colour but red": the one "but" that opens no new clause; "colour: any" the one colon.
        open_choice = token.has("but") and len(last) <= _OPEN_CHOICE_TOKENS and bool(dropped_fields(last))
        labels = token.word == ":" and bool(last) and last[-1].has(FIELD)
        if token.has(BREAK) and not open_choice and not labels:
            clauses.append([token])
        else:
            last.append(token)
    return _preferences_placed(_joined_lists(clauses))


def _preferences_placed(clauses: Sequence[list[Token]]) -> list[list[Token]]:
    """A clause of nothing but "if possible" goes with its neighbour: the one before it, or else the one after it."""
    placed: list[list[Token]] = []
    waiting: list[Token] = []
    for clause in clauses:
        said = any(token.values for token in clause)
        behind = [token for token in clause if token.has("soft_after") and not token.has("negate_before")]
        ahead = [token for token in clause if token.has("soft") and not token.has("add")]
        known = all(token.entry is not None for token in clause)
        if said or not known or not (behind or ahead):
            placed.append([*waiting, *clause])
            waiting = []
        elif behind and placed and any(token.values for token in placed[-1]):
            placed[-1].extend(behind)
        else:
            waiting = ahead or behind
    return placed if not waiting else [*placed, waiting]


def dropped_fields(clause: Sequence[Token]) -> set[str]:
    """Fields named right before or after a word such as "any" or 不限, alone or as a list (颜色和风格都可以)."""
    bare = [token for token in clause if token.has("drop") or token.has(FIELD) or not token.has(FILLER)]
    bare = [token for token in bare if not token.has("join")]
    runs = [list(run) for _, run in groupby(bare, key=lambda token: token.has(FIELD))]
    named: set[str] = set()
    for index, run in enumerate(runs):
        neighbours = [*(runs[index - 1][-1:] if index else []), *(runs[index + 1][:1] if index + 1 < len(runs) else [])]
        if any(token.has("drop") for token in neighbours):
            named |= {token.entry.field_name for token in run if token.entry is not None and token.has(FIELD)}
    return named


def unrecognised_spans(tokens: Sequence[Token]) -> tuple[tuple[int, int], ...]:
    """Spans of what the lexicon lacks; neighbours without a gap are one span."""
    spans: list[tuple[int, int]] = []
    for token, following in pairwise([*tokens, None]):
        if token is not None and (token.entry is None or _shades_nothing(token, following)):
            if spans and spans[-1][1] == token.start:
                spans[-1] = (spans[-1][0], token.end)
            else:
                spans.append((token.start, token.end))
    return tuple(spans)


def _shades_nothing(token: Token, following: Token | None) -> bool:
    """A word such as "light" that stands before no colour."""
    if token.entry is None or token.entry.roles != {"shade"}:
        return False
    return following is None or not (following.has("shade") or "color" in following.values)


def _joined_lists(clauses: list[list[Token]]) -> list[list[Token]]:
    """ "no red, blue or green": the commas of a negated English list end no clause; "not red, blue" is a contrast."""
    joined = [clauses[0]]
    at = 1
    while at < len(clauses):
        length = _list_length(joined[-1], clauses, at)
        for clause in clauses[at : at + length]:
            joined[-1].extend(clause[1:])
        if not length:
            joined.append(clauses[at])
        at += max(length, 1)
    return joined


def _list_length(head: Sequence[Token], clauses: Sequence[Sequence[Token]], at: int) -> int:
    negation = next((token for token in head if token.has("negate") and token.word != "not"), None)
    last = next((token for token in reversed(head) if not token.has(FILLER)), None)
    if negation is None or last is None or not last.values or not negation.word.isascii():
        return 0
    (name, *others) = last.values
    for length, clause in enumerate(clauses[at : at + _LONGEST_LIST], start=1):
        words = [token for token in clause[1:] if token.values or not token.has(FILLER)]
        leads_with_join = bool(words) and words[0].has("join")
        item = words[1] if leads_with_join and len(words) > 1 else (words[0] if words else None)
        if others or clause[0].word != "," or item is None or list(item.values) != [name]:
            return 0
        if leads_with_join or (len(words) > 2 and words[1].has("join") and name in words[2].values):
            return length
    return 0
