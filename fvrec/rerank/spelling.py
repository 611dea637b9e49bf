"""Typos: a Latin word that nobody knows is read as the one word of the lexicon that is one edit away.

One edit is an insertion, a deletion, a substitution or a swap of neighbours (optimal string alignment distance). Words
that English has anyway (``vocab/ordinary_english.toml``) are never corrected: "cost" is no "coat".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass

from rapidfuzz import process
from rapidfuzz.distance import OSA

SHORTEST_TARGET = 5
SHORTEST_TYPED = 4
LONGEST_TYPED = 40


@dataclass(frozen=True)
class Target:
    """What makes a word of the lexicon a likely correction.

    ``rank``: 0 for a word with a meaning of its own, 1 for its plural, 2 for a word that only occurs in longer phrases.
    ``meaning``: equal for words that mean the same; None for words that name no value.
    """

    rank: int
    meaning: Hashable | None


class Speller:
    """Corrects towards ``targets``, words of the lexicon, and leaves ``ordinary`` words alone."""

    def __init__(self, targets: Mapping[str, Target], ordinary: Collection[str]) -> None:
        self._targets = targets
        self._ordinary = frozenset(ordinary)
        self._by_length: dict[int, list[str]] = defaultdict(list)
        for word in sorted(targets):
            if len(word) >= SHORTEST_TARGET and word.isascii() and word.isalpha():
                self._by_length[len(word)].append(word)

    def correct(self, word: str) -> str:
        """The target that ``word`` must be, or ``word`` itself where none, or more than one of a rank, is as near."""
        if not SHORTEST_TYPED <= len(word) <= LONGEST_TYPED or not (word.isascii() and word.isalpha()):
            return word
        if word in self._targets or word in self._ordinary:
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
        rank = min((self._targets[word].rank for word in near), default=0)
        best = [word for word in near if self._targets[word].rank == rank]
        meanings = {self._targets[word].meaning for word in best}
        return best[0] if len(best) == 1 or (len(meanings) == 1 and None not in meanings) else None
