"""The word files: whole, and without two meanings for the words that explanations use."""

from __future__ import annotations

import pytest
from opencc import OpenCC

from fvrec import vocab
from fvrec.rerank.constraints import LANGUAGES, parse
from fvrec.schema import FIELDS, UNKNOWN, VALUES

CASES = [(field, value) for field in FIELDS for value in VALUES[field] if value != UNKNOWN]


def test_words_cover_the_schema_and_nothing_else() -> None:
    words = vocab.load("words")
    assert tuple(words["fields"]) == FIELDS
    assert {field: (*values, UNKNOWN) for field, values in words["values"].items()} == dict(VALUES)
    for phrase in words["phrases"]:
        for field in set(phrase) - {"words"}:
            assert set(phrase[field]) <= set(VALUES[field])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("field", "value"), CASES)
def test_every_word_of_a_value_reads_as_that_value(field: str, value: str, language: str) -> None:
    for word in vocab.load("words")["values"][field][value][language]:
        assert dict(parse(word).wanted) == {field: {value}}, word


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_for_explanations_are_unambiguous(language: str) -> None:
    for field, values in vocab.load("words")["values"].items():
        for value, by_language in values.items():
            shown = by_language[language][0].casefold()
            others = [w.casefold() for v, by in values.items() if v != value for w in by[language]]
            assert shown not in others, (field, shown)


@pytest.mark.parametrize("language", LANGUAGES)
def test_query_phrases_cover_the_schema(language: str) -> None:
    words = vocab.load("query_phrases")[language]
    for field in FIELDS:
        assert set(words[field]) == set(VALUES[field]) - {UNKNOWN, "other"}
        assert words["exclude"][field]
    assert {*words["before"], *words["after"], "category"} == set(FIELDS)


def test_every_chinese_word_reads_the_same_in_traditional_characters() -> None:
    to_traditional = OpenCC("s2t")
    changed = 0
    for field, values in vocab.load("words")["values"].items():
        for value, by_language in values.items():
            for word in by_language["zh"]:
                traditional = to_traditional.convert(word)
                changed += traditional != word
                assert dict(parse(traditional).wanted) == {field: {value}}, traditional
    assert changed > 200
