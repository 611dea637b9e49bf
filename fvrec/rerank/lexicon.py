"""Pieces -> tokens with a meaning: longest match in a trie over ``vocab/{words,compounds,grammar}.toml``."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import Any

from fvrec import vocab
from fvrec.rerank.folding import DASH, pieces
from fvrec.rerank.spelling import Speller, Target

BREAK, FILLER, FIELD, BEYOND = "break", "filler", "field", "beyond"

_BREAK_MARKS = frozenset(".,;:!?。…\n()[]" + DASH)
_MEANINGLESS = frozenset({"Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sk"})  # punctuation and mathematical signs
_SPELLINGS_KEPT = 4096


@dataclass(frozen=True, eq=False)
class Entry:
    """What a phrase means: schema values (field -> values), a field's name, or one or more grammatical roles.

    ``rules_out``: the phrase names the values as absent ("hoodless"). ``inflected``: a plural made by rule.
    """

    values: Mapping[str, frozenset[str]] = field(default_factory=dict)
    field_name: str = ""
    roles: frozenset[str] = frozenset()
    rules_out: bool = False
    inflected: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """A stretch ``[start, end)`` of the text with what it means; ``entry`` is None for what the lexicon lacks.

    ``word``: its first piece, folded.
    """

    start: int
    end: int
    entry: Entry | None
    word: str = ""

    def has(self, role: str) -> bool:
        """Whether the token plays that grammatical role."""
        return self.entry is not None and role in self.entry.roles

    @property
    def values(self) -> Mapping[str, frozenset[str]]:
        """field -> values that the token names; empty for every other token."""
        return self.entry.values if self.entry is not None else {}


_BREAK_ENTRY = Entry(roles=frozenset({BREAK}))
_FILLER_ENTRY = Entry(roles=frozenset({FILLER}))
_HERE = ""  # no piece is empty, so this key of a trie node holds its own entry


class Lexicon:
    """Phrases as tuples of pieces, in a trie. ``correct(word)``: the word that a typo must mean, or the word itself."""

    def __init__(self, entries: Mapping[tuple[str, ...], Entry], ordinary: Iterable[str] = ()) -> None:
        self._root: dict[str, Any] = {}
        known: set[str] = set()
        for phrase, entry in entries.items():
            node = self._root
            for piece in phrase:
                node = node.setdefault(piece, {})
            node[_HERE] = entry
            known.update(phrase)
        speller = Speller({word: _target(entries.get((word,))) for word in known}, frozenset(ordinary))
        self._known = frozenset(known)
        self.correct = lru_cache(_SPELLINGS_KEPT)(speller.correct)

    def tokens(self, text: str) -> list[Token]:
        """The text as tokens in order; white space, hyphens and quotes leave none. Linear in the text's length."""
        found = pieces(text)
        words = [piece.text if piece.text in self._known else self.correct(piece.text) for piece in found]
        tokens, at = [], 0
        while at < len(found):
            length, entry = self._match(words, at)
            tokens.append(Token(found[at].start, found[at + length - 1].end, entry, words[at]))
            at += length
        return tokens

    def _match(self, words: list[str], at: int) -> tuple[int, Entry | None]:
        first = words[at]
        if first in _BREAK_MARKS:
            return 1, _BREAK_ENTRY
        node, best, length = self._root, None, 1
        for end in range(at, len(words)):
            if words[end] not in node:
                break
            node = node[words[end]]
            if _HERE in node:
                best, length = node[_HERE], end - at + 1
        if best is None and len(first) == 1 and unicodedata.category(first) in _MEANINGLESS:
            return 1, _FILLER_ENTRY
        return length, None if best is not None and best.roles == {BEYOND} else best


@cache
def default_lexicon() -> Lexicon:
    """The lexicon of ``fvrec/vocab``: words, compounds, grammar, and the ordinary words that are no typos."""
    words, compounds, grammar = vocab.load("words"), vocab.load("compounds"), vocab.load("grammar")
    entries: dict[tuple[str, ...], Entry] = {}
    named = [*_compound_values(compounds["compounds"]), *_named_values(words)]
    for phrase, meaning in named:
        entries.setdefault(_key(phrase), meaning)
    for name, roles in _roles(grammar["operators"]).items():
        entries.setdefault(_key(name), Entry(roles=roles))
    # After the operators: "likes" is a verb before it could be the plural of anything.
    for phrase, meaning in named:
        for form in _plurals(phrase):
            entries.setdefault(_key(form), replace(meaning, inflected=True))
    for name, by_language in words["fields"].items():
        for phrase in (*by_language["en"], *by_language["zh"]):
            for form in (phrase, *_plurals(phrase)):
                roles = frozenset({FIELD, FILLER})
                entries[_key(form)] = Entry(field_name=name, roles=roles, inflected=form != phrase)
    return Lexicon(entries, vocab.load("ordinary_english")["words"].split())


@cache
def _general_keys() -> frozenset[tuple[str, ...]]:
    """The plain names of values: the first English word and the first two Chinese ones (红色, 红) of each."""
    named = [by for values in vocab.load("words")["values"].values() for by in values.values()]
    phrases = [word for by in named for word in (by["en"][0], *by["zh"][:2])] + ["grey", "t恤", "colour"]
    return frozenset(_key(form) for phrase in phrases for form in (phrase, *_plurals(phrase)))


def is_general(word: str) -> bool:
    """Whether ``word`` is the plain name of a value ("red"), not one of its shades or kinds ("maroon")."""
    return _key(word) in _general_keys()


def _named_values(words: Mapping[str, Any]) -> Iterable[tuple[str, Entry]]:
    for field_name, values in words["values"].items():
        for value, by_language in values.items():
            meaning = Entry(values={field_name: frozenset({value})})
            # Its own spelling only where nobody would write it otherwise: "short" alone says nothing of sleeves.
            spelled = (value,) if "_" in value else ()
            for phrase in (*spelled, *by_language["en"], *by_language["zh"]):
                yield phrase, meaning
    yield from _compound_values(words["phrases"])


def _compound_values(compounds: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, Entry]]:
    for compound in compounds:
        values = {name: frozenset(of) for name, of in compound.items() if name not in ("words", "rules_out")}
        meaning = Entry(values=values, rules_out=bool(compound.get("rules_out", False)))
        for phrase in compound["words"]:
            yield phrase, meaning


def _roles(operators: Mapping[str, list[str]]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for role, phrases in operators.items():
        for phrase in phrases:
            found[phrase] = found.get(phrase, frozenset()) | {role}
    return found


def _target(entry: Entry | None) -> Target:
    if entry is None:
        return Target(2, None)
    said = bool(entry.values) or any(role.startswith("negate") for role in entry.roles)
    return Target(int(entry.inflected or not said), frozenset(entry.values.items()) or None)


def _plurals(phrase: str) -> tuple[str, ...]:
    """Regular English plurals of the last word; nothing for Chinese."""
    if not re.search(r"[a-z]$", phrase):
        return ()
    if re.search(r"(s|x|z|ch|sh|o)$", phrase):
        return (f"{phrase}es", f"{phrase}s") if phrase.endswith("o") else (f"{phrase}es",)
    return (f"{phrase}s", f"{phrase[:-1]}ies") if re.search(r"[^aeiou]y$", phrase) else (f"{phrase}s",)


def _key(phrase: str) -> tuple[str, ...]:
    return tuple(piece.text for piece in pieces(phrase))
