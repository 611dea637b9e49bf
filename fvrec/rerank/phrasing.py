"""Constraints -> a shopper's words for them: frames, synonyms, politeness, preference, negation, and typing habits.

The words come from ``vocab/query_phrases.toml``, which the parser never reads. Frames: ``phrase`` (adjectives before
the noun, the rest after), ``list`` ("dress, blue, long sleeves"), English ``relative`` ("something that is blue
and ..."), Chinese ``bare`` (no 的) and ``noun_first``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from opencc import OpenCC

from fvrec import vocab
from fvrec.rerank.constraints import Constraint, Constraints
from fvrec.schema import VALUES

HABIT_SHARE = 0.15
MUST_SHARE = 0.1
TYPO_SHARE = 0.05
_TYPED_WRONG = 6  # letters from which on a word may be mistyped: shorter ones turn into other words too often


def phrase(constraints: Constraints, rng: np.random.Generator) -> str:
    """One way to ask for ``constraints``, in their language. The same generator state gives the same words."""
    words = vocab.load("query_phrases")[constraints.language]
    wishes = {c.field: c for c in constraints.constraints if not c.excluded}
    noun_wish = wishes.pop("category", None)
    noun = _form(noun_wish, words, rng) if noun_wish else _pick(words["nouns"], rng)
    preferred = [c for c in wishes.values() if c.strength == "soft"]
    insisted = [c for c in wishes.values() if c.strength == "hard" and rng.random() < MUST_SHARE]
    apart = {c.field for c in (*preferred, *insisted)}
    forms = {name: _form(c, words, rng) for name, c in wishes.items() if name not in apart}
    if constraints.language == "en":
        forms = {name: _mistyped(form, rng) for name, form in forms.items()}
    body = _FRAMES[_pick(words["frames"], rng)](noun, forms, words, rng)
    extra = [_pick(words["soft"], rng).format(_bare(_form(c, words, rng), words)) for c in preferred]
    extra += [_pick(words["must"], rng).format(_bare(_form(c, words, rng), words)) for c in insisted]
    extra += [_exclusion(c, words, rng) for c in constraints.constraints if c.excluded]
    text = _pick(words["openings"], rng) + _attached(body, extra, constraints.language) + _pick(words["endings"], rng)
    return _typed(text, constraints.language, rng)


def softly_excludable(field: str) -> bool:
    """Whether there are gentle exclusions ("not too formal") for the field."""
    return all(field in words["exclude_softly"] for words in vocab.load("query_phrases").values())


def _phrase_frame(noun: str, forms: Mapping[str, str], words: Mapping[str, Any], rng: np.random.Generator) -> str:
    chinese = not words["after"]
    before = [forms[name] for name in _shuffled(words["before"], rng) if name in forms]
    after = [forms[name] for name in _shuffled(words["after"], rng) if name in forms]
    if chinese:
        return "".join([*(f"{form}的" for form in before), noun])
    return " ".join([*before, noun, *after])


def _bare_frame(noun: str, forms: Mapping[str, str], words: Mapping[str, Any], rng: np.random.Generator) -> str:
    return "".join([*(forms[name] for name in _shuffled(words["before"], rng) if name in forms), noun])


def _noun_first(noun: str, forms: Mapping[str, str], words: Mapping[str, Any], rng: np.random.Generator) -> str:
    described = [f"{forms[name]}的" for name in _shuffled(sorted(forms), rng)]
    return "，".join([noun, *described[:1]]) + "".join(f"，要{form}" for form in described[1:])


def _list_frame(noun: str, forms: Mapping[str, str], words: Mapping[str, Any], rng: np.random.Generator) -> str:
    parts = [noun, *(_bare(forms[name], words) for name in _shuffled(sorted(forms), rng))]
    return str(_pick(words["separators"], rng)).join(parts)


def _relative(noun: str, forms: Mapping[str, str], words: Mapping[str, Any], rng: np.random.Generator) -> str:
    described = [forms[name] for name in words["before"] if name in forms]
    rest = [forms[name] for name in words["after"] if name in forms]
    said = f"{noun} that is {' and '.join(described)}" if described else noun
    return " ".join([said, *rest])


_FRAMES: dict[str, Callable[[str, Mapping[str, str], Mapping[str, Any], np.random.Generator], str]] = {
    "phrase": _phrase_frame,
    "bare": _bare_frame,
    "noun_first": _noun_first,
    "list": _list_frame,
    "relative": _relative,
}


def _form(constraint: Constraint, words: Mapping[str, Any], rng: np.random.Generator) -> str:
    forms = [
        _pick(words[constraint.field][value], rng) for value in VALUES[constraint.field] if value in constraint.values
    ]
    return _pick(words["either"], rng).format(*forms) if len(forms) == 2 else forms[0]


def _exclusion(constraint: Constraint, words: Mapping[str, Any], rng: np.random.Generator) -> str:
    frames = words["exclude_softly" if constraint.strength == "soft" else "exclude"][constraint.field]
    return _pick(frames, rng).format(_bare(_form(constraint, words, rng), words))


def _bare(form: str, words: Mapping[str, Any]) -> str:
    for opening in words["strip"]:
        if form.startswith(opening):
            return form.removeprefix(opening)
    return form


def _attached(body: str, extra: Sequence[str], language: str) -> str:
    for piece in extra:
        body += piece if language == "zh" or not piece[0].isalpha() else f" {piece}"
    return body


def _typed(text: str, language: str, rng: np.random.Generator) -> str:
    """The text as some people type it: in capitals or full width, in traditional characters."""
    if rng.random() >= HABIT_SHARE:
        return text
    if language == "zh":
        return str(_to_traditional().convert(text))
    habits: list[Callable[[str], str]] = [
        str.upper,
        str.capitalize,
        _full_width,
        lambda plain: plain.replace(" ", "  "),
    ]
    return habits[int(rng.integers(len(habits)))](text)


def _mistyped(form: str, rng: np.random.Generator) -> str:
    """The form with two neighbouring letters inside its longest word swapped, now and then."""
    word = max(form.replace("-", " ").split(), key=len)
    if rng.random() >= TYPO_SHARE or len(word) < _TYPED_WRONG or not word.isalpha():
        return form
    at = int(rng.integers(1, len(word) - 2))
    return form.replace(word, word[:at] + word[at + 1] + word[at] + word[at + 2 :], 1)


def _full_width(text: str) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


@cache
def _to_traditional() -> OpenCC:
    return OpenCC("s2t")


def _shuffled(names: Sequence[str], rng: np.random.Generator) -> list[str]:
    return [names[int(at)] for at in rng.permutation(len(names))]


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
