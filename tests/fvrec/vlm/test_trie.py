"""Tries worked out by hand."""

from __future__ import annotations

import pytest

from fvrec.errors import FvrecError
from fvrec.vlm.trie import Branch, build_trie


def test_values_with_first_tokens_of_their_own_part_at_the_root() -> None:
    trie = build_trie("fit", [(7, 1), (5, 1), (9, 2, 1)])
    assert trie.branches == (Branch(-1, (5, 7, 9), (-2, -1, -3)),)
    assert trie.nodes == ()
    assert trie.steps.tolist() == [[1], [0], [2]]


def test_a_value_that_another_begins_with_ends_where_its_closing_quote_comes() -> None:
    v, neck, quote, round_ = 4, 6, 1, 8
    trie = build_trie("neckline", [(v, quote), (v, neck, quote), (round_, quote)])
    assert trie.nodes == (v,)
    assert trie.parents == (-1,)
    assert trie.branches == (Branch(-1, (v, round_), (1, -3)), Branch(0, (quote, neck), (-1, -2)))
    assert trie.steps.tolist() == [[0, 2], [0, 3], [1, 4]], "column 4 stands for no choice at all"


def test_tokens_without_a_choice_between_two_branches_are_fed_too() -> None:
    trie = build_trie("x", [(1, 2, 3, 9), (1, 2, 4, 9), (5, 9)])
    assert trie.nodes == (1, 2)
    assert trie.parents == (-1, 0)
    assert trie.branches[0].targets == (1, -3)
    assert trie.branches[1] == Branch(1, (3, 4), (-1, -2))
    assert trie.ancestry.tolist() == [[True, False], [True, True]]
    assert trie.depths.tolist() == [0, 1]


def test_one_value_leaves_no_choice() -> None:
    trie = build_trie("x", [(1, 2)])
    assert trie.branches == ()
    assert trie.steps.shape == (1, 0)


@pytest.mark.parametrize("sequences", [[(1, 2), (1, 2, 3)], [(1,), (1,)], [()], []])
def test_values_that_cannot_be_told_apart_are_refused(sequences: list[tuple[int, ...]]) -> None:
    with pytest.raises(FvrecError, match="neckline"):
        build_trie("neckline", sequences)
