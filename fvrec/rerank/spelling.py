"""Typos: a Latin word that nobody knows is read as the one word of the lexicon that is one edit away.

One edit is an insertion, a deletion, a substitution or a swap of neighbours (optimal string alignment distance). Words
that English has anyway (``vocab/ordinary_english.toml``) are never corrected: "cost" is no "coat".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable

from rapidfuzz import process
from rapidfuzz.distance import OSA

SHORTEST_TARGET = 5
SHORTEST_TYPED = 4
LONGEST_TYPED = 40


class Speller:
    """Corrects towards ``targets``; ``meaning`` tells whether two equally near targets mean the same."""

    def __init__(
        self, targets: Collection[str], ordinary: Collection[str], meaning: Callable[[str], Hashable | None]
    ) -> None:
        self._known = frozenset(targets)
        self._ordinary = frozenset(ordinary)
        self._meaning = meaning
        self._by_length: dict[int, list[str]] = defaultdict(list)
        for target in sorted(self._known):
            if len(target) >= SHORTEST_TARGET and target.isascii() and target.isalpha():
                self._by_length[len(target)].append(target)

    def correct(self, word: str) -> str:
        """The target that ``word`` must be, or ``word`` itself where none or more than one is as near."""
        if not SHORTEST_TYPED <= len(word) <= LONGEST_TYPED or not (word.isascii() and word.isalpha()):
            return word
        if word in self._known or word in self._ordinary:
            return word
        near = [
            target
            for length in (len(word) - 1, len(word), len(word) + 1)
            for target, _, _ in process.extract(
                word, self._by_length.get(length, ()), scorer=OSA.distance, score_cutoff=1, limit=None
            )
        ]
        return self._only_reading(near) or word

    def _only_reading(self, near: list[str]) -> str | None:
        meanings = {self._meaning(target) for target in near}
        if len(near) == 1 or (len(meanings) == 1 and None not in meanings):
            return near[0]
        return None
