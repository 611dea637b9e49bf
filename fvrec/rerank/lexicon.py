"""From a request's characters to tokens with a meaning: normalise, then longest match over ``vocab/words.toml``."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from fvrec import vocab

BREAK, FILLER, FIELD = "break", "filler", "field"

_PIECE = re.compile(r"[a-zà-ÿ0-9]+(?:'[a-z]+)*|[\u3400-\u9fff]|[^\W_]|\n|[^\w\s]|_")
_BREAK_MARKS = frozenset(".,;:!?。…\n()[]")
_MEANINGLESS = frozenset({"Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sk"})  # punctuation and mathematical signs
_JOINTS = frozenset("-_'\"")


@dataclass(frozen=True)
class Entry:
    """What a phrase means: schema values (field -> values), a field's name, or one or more grammatical roles."""

    values: Mapping[str, frozenset[str]] = field(default_factory=dict)
    field_name: str = ""
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Token:
    """A stretch ``[start, end)`` of the text with what it means; ``entry`` is None for what the lexicon lacks."""

    start: int
    end: int
    entry: Entry | None

    def has(self, role: str) -> bool:
        """Whether the token plays that grammatical role."""
        return self.entry is not None and role in self.entry.roles

    @property
    def values(self) -> Mapping[str, frozenset[str]]:
        """field -> values that the token names; empty for every other token."""
        return self.entry.values if self.entry is not None else {}


@dataclass(frozen=True)
class _Piece:
    text: str
    start: int
    end: int


class Lexicon:
    """Phrases as tuples of pieces (a Latin word, one Han character, one mark), found by longest match."""

    def __init__(self, entries: Mapping[tuple[str, ...], Entry], traditional: Mapping[str, str]) -> None:
        self._entries = entries
        self._traditional = traditional
        self._longest: dict[str, int] = {}
        for phrase in entries:
            self._longest[phrase[0]] = max(self._longest.get(phrase[0], 0), len(phrase))

    def tokens(self, text: str) -> list[Token]:
        """The text as tokens in order; white space, hyphens and quotes leave none. Linear in the text's length."""
        pieces = _pieces(text, self._traditional)
        tokens, at = [], 0
        while at < len(pieces):
            length, entry = self._match(pieces, at)
            tokens.append(Token(pieces[at].start, pieces[at + length - 1].end, entry))
            at += length
        return tokens

    def _match(self, pieces: list[_Piece], at: int) -> tuple[int, Entry | None]:
        if pieces[at].text in _BREAK_MARKS:
            return 1, Entry(roles=frozenset({BREAK}))
        if len(pieces[at].text) == 1 and unicodedata.category(pieces[at].text) in _MEANINGLESS:
            return 1, self._entries.get((pieces[at].text,), Entry(roles=frozenset({FILLER})))
        for length in range(min(self._longest.get(pieces[at].text, 0), len(pieces) - at), 0, -1):
            entry = self._entries.get(tuple(piece.text for piece in pieces[at : at + length]))
            if entry is not None:
                return length, entry
        return 1, None


@cache
def default_lexicon() -> Lexicon:
    """The lexicon of ``fvrec/vocab/words.toml``."""
    words = vocab.load("words")
    traditional = dict(zip(words["traditional"]["from"], words["traditional"]["to"], strict=True))
    entries: dict[tuple[str, ...], Entry] = {}
    for phrase, meaning in _named_values(words):
        for form in (phrase, *_plurals(phrase)):
            entries.setdefault(_key(form, traditional), meaning)
    for name, roles in _roles(words["operators"]).items():
        entries.setdefault(_key(name, traditional), Entry(roles=roles))
    for name, by_language in words["fields"].items():
        for phrase in (*by_language["en"], *by_language["zh"]):
            key = _key(phrase, traditional)
            entries[key] = Entry(field_name=name, roles=frozenset({FIELD, FILLER}))
    return Lexicon(entries, traditional)


def _named_values(words: Mapping[str, Any]) -> Iterable[tuple[str, Entry]]:
    for field_name, values in words["values"].items():
        for value, by_language in values.items():
            meaning = Entry(values={field_name: frozenset({value})})
            # Its own spelling only where nobody would write it otherwise: "short" alone says nothing of sleeves.
            spelled = (value,) if "_" in value else ()
            for phrase in (*spelled, *by_language["en"], *by_language["zh"]):
                yield phrase, meaning
    for compound in words["phrases"]:
        meaning = Entry(values={name: frozenset(values) for name, values in compound.items() if name != "words"})
        for phrase in compound["words"]:
            yield phrase, meaning


def _roles(operators: Mapping[str, list[str]]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for role, phrases in operators.items():
        for phrase in phrases:
            found[phrase] = found.get(phrase, frozenset()) | {role}
    return found


def _plurals(phrase: str) -> tuple[str, ...]:
    """Regular English plurals of the last word; nothing for Chinese."""
    if not re.search(r"[a-z]$", phrase):
        return ()
    ending = (f"{phrase[:-1]}ies",) if re.search(r"[^aeiou]y$", phrase) else ()
    return (f"{phrase}s", f"{phrase}es", *ending)


def _key(phrase: str, traditional: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(piece.text for piece in _pieces(phrase, traditional))


def _pieces(text: str, traditional: Mapping[str, str]) -> list[_Piece]:
    folded, origin = _fold(text, traditional)
    pieces = []
    for match in _PIECE.finditer(folded):
        word = match.group().removesuffix("'s")
        if word not in _JOINTS:
            pieces.append(_Piece(word, origin[match.start()], origin[match.end() - 1] + 1))
    return pieces


def _fold(text: str, traditional: Mapping[str, str]) -> tuple[str, list[int]]:
    """Half-width, lower-case, simplified text, and for each of its characters the index in ``text`` it came from."""
    if text.isascii():
        return text.lower(), list(range(len(text)))
    folded: list[str] = []
    origin: list[int] = []
    for index, char in enumerate(text):
        plain = "'" if char in "’‘`´" else traditional.get(char) or unicodedata.normalize("NFKC", char).lower()
        kept = [letter for letter in plain if not unicodedata.combining(letter)]
        folded += kept
        origin += [index] * len(kept)
    return "".join(folded), origin
