"""One card at a time: after every like or skip, what is left is ranked anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fvrec.rerank.pool import Pool, Ranker
    from fvrec.rl.serve import Feed

_WEIGHT = 0.5
"""How far one answer moves what looks just like the card, on the scale of relevance."""


@dataclass(frozen=True)
class Answers:
    """What the visitor said so far: item ids, liked or not, in the order of the answers."""

    given: tuple[tuple[str, bool], ...] = ()

    @property
    def liked(self) -> tuple[str, ...]:
        return tuple(item_id for item_id, liked in self.given if liked)

    @property
    def skipped(self) -> tuple[str, ...]:
        return tuple(item_id for item_id, liked in self.given if not liked)

    def like(self, item_id: str) -> Answers:
        return Answers((*self.given, (item_id, True)))

    def skip(self, item_id: str) -> Answers:
        return Answers((*self.given, (item_id, False)))


class FeedRanker(Protocol):
    """A ranker with a feed mode of its own: the trained policy."""

    def feed(self, pool: Pool, k: int) -> Feed: ...


def next_item(pool: Pool, ranker: Ranker | FeedRanker, answers: Answers) -> str | None:
    """The item to show next; None when the pool is used up.

    A ranker with a feed mode (the policy) is told every answer. For others, what resembles liked cards gains relevance
    and what resembles skipped ones loses it; then they choose among the cards not yet seen.
    """
    places = {item_id: row for row, item_id in enumerate(pool.item_ids)}
    seen = {item_id for item_id, _ in answers.given}
    left = np.array([row for item_id, row in places.items() if item_id not in seen], dtype=np.int64)
    if not len(left):
        return None
    if hasattr(ranker, "feed"):
        feed = ranker.feed(pool, len(pool))
        for item_id, liked in answers.given:
            if item_id in places:
                feed.heard(float(liked), places[item_id])
        return pool.item_ids[feed.next()]
    return pool.item_ids[left[_moved(pool, ranker, left, answers, places)]]


def _moved(pool: Pool, ranker: Ranker, left: NDArray[np.int64], answers: Answers, places: Mapping[str, int]) -> int:
    """Which of the rows that are left comes first once relevance has followed the answers."""
    liked = [places[one] for one in answers.liked if one in places]
    skipped = [places[one] for one in answers.skipped if one in places]
    moved = _WEIGHT * (_resemblance(pool, left, liked) - _resemblance(pool, left, skipped))
    rest = replace(
        pool,
        item_ids=tuple(pool.item_ids[row] for row in left),
        relevance=np.clip(pool.relevance[left] + moved, 0, 1).astype(np.float32),
        embeddings=pool.embeddings[left],
        values=pool.values[left],
        field_match=pool.field_match[left],
        confidence=None if pool.confidence is None else pool.confidence[left],
    )
    return int(ranker.rank(rest, 1)[0])


def _resemblance(pool: Pool, rows: NDArray[np.int64], others: list[int]) -> NDArray[np.float64]:
    """``[len(rows)]`` in [0, 1]: the mean resemblance to the other rows; 0 where there are none."""
    if not others:
        return np.zeros(len(rows))
    shared = (pool.values[rows][:, None] == pool.values[others][None]).mean(axis=2)
    if pool.embeddings.shape[1]:
        shared = (shared + np.clip(pool.embeddings[rows] @ pool.embeddings[others].T, 0, 1)) / 2
    return np.asarray(shared.mean(axis=1))
