"""The page's texts: both languages are there, with the same places to fill in."""

from __future__ import annotations

from string import Formatter

import pytest

from app.views import plain
from app.words import EXAMPLES, WORDS, field_word, value_word
from fvrec.schema import FIELDS, VALUES


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("key", WORDS)
def test_both_languages_say_the_same(key: str) -> None:
    assert set(WORDS[key]) == {"en", "zh"}
    assert places(WORDS[key]["en"]) == places(WORDS[key]["zh"])


def test_there_are_as_many_examples_in_each_language() -> None:
    assert len(EXAMPLES["en"]) == len(EXAMPLES["zh"])


def test_every_field_and_value_has_a_word() -> None:
    for field in FIELDS:
        for language in ("en", "zh"):
            assert field_word(field, language)
            words = [value_word(field, value, language) for value in VALUES[field]]
            assert len(set(words)) == len(words)


def test_plain_text_has_no_live_markup() -> None:
    assert plain("a*b_c[d](e) :red[f]\n# $g$ <i>") == r"a\*b\_c\[d\]\(e\) \:red\[f\] \# \$g\$ \<i\>"
