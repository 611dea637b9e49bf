"""One card at a time: after every like or skip, what is left is ranked anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fvrec.rerank.pool import Pool, Ranker

_WEIGHT = 0.5
"""How far one answer moves what looks just like the card, on the scale of relevance."""


@dataclass(frozen=True)
class Answers:
    """Item ids that the visitor has liked and skipped, in the order of the answers."""

    liked: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def seen(self) -> tuple[str, ...]:
        return (*self.liked, *self.skipped)

    def like(self, item_id: str) -> Answers:
        return replace(self, liked=(*self.liked, item_id))

    def skip(self, item_id: str) -> Answers:
        return replace(self, skipped=(*self.skipped, item_id))


def next_item(pool: Pool, ranker: Ranker, answers: Answers) -> str | None:
    """The item to show next; None when the pool is used up.

    What resembles liked cards gains relevance and what resembles skipped ones loses it, by the mean of shared values
    and of looks; then the ranker chooses among the cards not yet seen.
    """
    places = {item_id: row for row, item_id in enumerate(pool.item_ids)}
    left = np.array([row for item_id, row in places.items() if item_id not in answers.seen], dtype=np.int64)
    if not len(left):
        return None
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
    )
    return rest.item_ids[int(ranker.rank(rest, 1)[0])]


def _resemblance(pool: Pool, rows: np.ndarray, others: list[int]) -> np.ndarray:
    """``[len(rows)]`` in [0, 1]: the mean resemblance to the other rows; 0 where there are none."""
    if not others:
        return np.zeros(len(rows))
    shared = (pool.values[rows][:, None] == pool.values[others][None]).mean(axis=2)
    if pool.embeddings.shape[1]:
        shared = (shared + np.clip(pool.embeddings[rows] @ pool.embeddings[others].T, 0, 1)) / 2
    return np.asarray(shared.mean(axis=1))
