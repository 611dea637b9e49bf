"""A request's characters in one form: half-width, lower-case, simplified Chinese, each with its place in the text.

Everything downstream works on pieces (a Latin word, one Han character, one mark), whose ``start`` and ``end`` refer to
the text as typed, whatever folding did to its length.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

from opencc import OpenCC

DASH = "—"
"""The text of a dash between blanks, which separates clauses; a hyphen inside a word leaves no piece."""

_PIECE = re.compile(r"(?P<dash>(?<=\s)-(?=\s)|--+|[–—]+)|[a-z0-9]+(?:'[a-z]+)*|[\u3400-\u9fff]|[^\W_]|\n|[^\w\s]|_")
_JOINTS = frozenset("-_'\"")
_APOSTROPHES = frozenset("’‘`´ʼ")
_UNSEEN = frozenset({"Cf", "Mn", "Me"})  # zero-width marks, variation selectors, combining accents
_VARIANTS = {"揹": "背"}  # forms that OpenCC writes itself and does not read back
_BLANK = frozenset({"Cc", "Cs", "Co", "Cn"})  # controls, lone surrogates, private and unassigned characters


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece, folded, at ``[start, end)`` of the original text."""

    text: str
    start: int
    end: int


def pieces(text: str) -> list[Piece]:
    """The text's pieces in order. White space, hyphens, quotes and invisible characters leave none. Linear in time."""
    folded, origin = fold(text)
    found = []
    for match in _PIECE.finditer(folded):
        dash = match.group("dash") is not None
        word = DASH if dash else match.group().removesuffix("'s")
        if dash or word not in _JOINTS:
            found.append(Piece(word, origin[match.start()], origin[match.end() - 1] + 1))
    return found


def fold(text: str) -> tuple[str, list[int]]:
    """The folded text, and for each of its characters the index in ``text`` that it came from."""
    if text.isascii() and text.isprintable():
        return text.lower(), list(range(len(text)))
    folded: list[str] = []
    origin: list[int] = []
    for index, char in enumerate(text):
        plain = _fold_character(char)
        folded.append(plain)
        origin += [index] * len(plain)
    return "".join(folded), origin


@cache
def _converter() -> OpenCC:
    return OpenCC("t2s")


@cache
def _fold_character(char: str) -> str:
    """Cached without bound: there are no more keys than characters in Unicode."""
    if char == "\n" or char.isspace():
        return char
    if char in _APOSTROPHES:
        return "'"
    kind = unicodedata.category(char)
    if kind in _UNSEEN:
        return ""
    if kind in _BLANK:
        return " "
    plain = unicodedata.normalize("NFKC", char)
    bare = unicodedata.normalize("NFKD", plain)[0]
    plain = bare if bare.isascii() and bare.isalpha() and len(plain) == 1 else plain
    lowered = "".join(letter for letter in plain.lower() if not unicodedata.combining(letter))
    return _VARIANTS.get(lowered) or str(_converter().convert(lowered))
