"""What a shop's raw value most likely means in schema v1: by its words, in English and Chinese."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

from fvrec import vocab
from fvrec.schema import FIELDS, OTHER, UNKNOWN, VALUES
from fvrec.sources.mapping import fold

_NOT_RAW_VALUES = {"words", "query_phrases", "compounds", "embedded"}
_REST = {"other", "others", "misc", "miscellaneous", "n/a", "na", "-", "其他", "其它"}


@dataclass(frozen=True)
class Guess:
    """A canonical value, and the word of the raw value that it was read from (empty when all of it was known)."""

    value: str
    word: str = ""


def guess(field: str, raw: str) -> Guess | None:
    """What ``raw`` means for ``field``; None when no word of it is known.

    The whole value counts first, then the longest known word in it, then the later one: heads come last in both
    languages ("shirt dress", 牛仔短裤).

    >>> guess("category", "女士连衣裙"), guess("color", "navy blue")
    (Guess(value='dress', word='连衣裙'), Guess(value='blue', word=''))
    """
    text = fold(raw)
    known = _known_words(field)
    for form in (text, text.removesuffix("s"), text.removesuffix("es")):
        if form in known:
            return Guess(known[form])
    if text in _REST:
        return Guess(OTHER if field == "category" else UNKNOWN)
    telling = (word for word, value in known.items() if value not in (UNKNOWN, OTHER))
    found = [(len(word), at, word) for word in telling for at in _places(word, text)]
    if not found:
        return None
    _, _, word = max(found)
    return Guess(known[word], word)


def _places(word: str, text: str) -> Iterator[int]:
    """Where ``word`` stands in ``text``; one in Latin letters only as a whole word, also in its plural."""
    if word not in text:
        return
    if not re.search(r"[a-z0-9]", word):
        # A single character is a word only by itself: 包 in 包臀裙 is no bag.
        if len(word) > 1 or len(text) == 1:
            yield text.rindex(word)
        return
    for match in re.finditer(rf"(?<![a-z0-9]){re.escape(word)}(?:e?s)?(?![a-z0-9])", text):
        yield match.start()


@cache
def _known_words(field: str) -> dict[str, str]:
    """word -> value: the schema's own names, the zh and en words, and the raw values of the known sources.

    A word that names values of several fields (西裤: trousers, formal) means the one of this field.
    """
    found = {fold(value.replace("_", " ")): value for value in VALUES[field] if value not in (UNKNOWN, OTHER)}
    for source in _source_vocabularies():
        for raw, value in source.get(field, {}).items():
            if isinstance(value, str) and value in VALUES[field]:
                found.setdefault(fold(raw), value)
    for value, by_language in vocab.load("words")["values"][field].items():
        for word in (*by_language["en"], *by_language["zh"]):
            found[fold(word)] = value
    for compound in vocab.load("compounds")["compounds"]:
        named = compound.get(field, ())
        if len(named) == 1 and not compound.get("rules_out"):  # of several values none is the raw value's
            found |= {fold(word): named[0] for word in compound["words"] if fold(word) not in found}
    return found


@cache
def _source_vocabularies() -> tuple[dict[str, dict[str, object]], ...]:
    files = resources.files("fvrec.vocab").iterdir()
    names = sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))
    loaded = (vocab.load(name) for name in names if name not in _NOT_RAW_VALUES)
    return tuple({field: body[field] for field in FIELDS if isinstance(body.get(field), dict)} for body in loaded)
