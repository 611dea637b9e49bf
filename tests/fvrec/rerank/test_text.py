"""BM25 against its formula, and what counts as a word in either language."""

from __future__ import annotations

import math

import pytest

from fvrec.rerank.constraints import parse
from fvrec.rerank.search import search_text
from fvrec.rerank.text import TextIndex, tokens_of

TITLES = ["blue cotton dress", "red dress", "green wool hat for winter days", ""]


def bm25(term: str, text: str, k1: float = 1.5, b: float = 0.75) -> float:
    """Lucene's BM25 of one word, written out."""
    texts = [one.split() for one in TITLES]
    holding = sum(term in one for one in texts)
    idf = math.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
    count, mean = text.split().count(term), sum(map(len, texts)) / len(texts)
    return idf * count / (count + k1 * (1 - b + b * len(text.split()) / mean))


def test_similarity_is_bm25_as_a_share_of_the_most_that_the_words_could_earn() -> None:
    found = TextIndex(TITLES).similarity("a red dress, please")
    words = ("red", "dress")
    most = sum(max(bm25(word, title) for title in TITLES) for word in words)
    expected = [sum(bm25(word, title) for word in words) / most for title in TITLES]
    assert found.tolist() == pytest.approx(expected, abs=1e-6)
    assert found[1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Women's DRESSES, 2 watches", ["women", "s", "dress", "2", "watch"]),
        ("jeans boxes accessories", ["jean", "box", "accessory"]),
        ("蓝色连衣裙XL码", ["蓝色", "色连", "连衣", "衣裙", "xl", "码"]),
        ("🙂 -- !", []),
    ],
)
def test_tokens(text: str, tokens: list[str]) -> None:
    assert list(tokens_of(text)) == tokens


def test_what_is_excluded_is_not_searched_for() -> None:
    index = TextIndex(["red shirt", "blue shirt"])
    text = "a shirt, but not red"
    assert "red" not in search_text(text, parse(text), index).split()
    assert index.similarity(search_text(text, parse(text), index)).tolist() == [1.0, 1.0]


def test_a_chinese_wish_finds_an_english_title() -> None:
    index = TextIndex(["Nike black cap", "Nike blue dress"])
    text = "蓝色连衣裙"
    assert index.similarity(text).max() == 0.0
    assert index.similarity(search_text(text, parse(text), index)).argmax() == 1


def test_words_that_titles_hold_are_not_translated() -> None:
    index = TextIndex(["blue dress", "蓝色连衣裙"])
    assert "蓝色" not in search_text("blue dress", parse("blue dress"), index)


def test_the_words_of_earlier_turns_still_count() -> None:
    index = TextIndex(["linen dress", "silk dress"])
    before = parse("a linen dress")
    assert "linen" in search_text("size 38", parse("size 38", before), index)
    # 0:2 of the turn before is no place in this one's text
    again = parse("no red", before)
    assert sorted(search_text("no red", again, index).split()) == ["dress", "linen", "no"]
