"""One user meets one pool: what the rankers see of it, and the truth that judges them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.records import Interaction, User
from fvrec.rerank.pool import UNKNOWN_CODES, Pool
from fvrec.rl.items import ItemTable
from fvrec.rl.users import match_table, relevance
from fvrec.schema import FIELDS

RECALL_SHARPNESS = 4.0
"""How strongly a pool leans to items that suit the estimate (0: a uniform sample of the split)."""
_COLUMNS = np.arange(len(FIELDS))


@dataclass(frozen=True)
class Request:
    """``pool`` is all that a ranker sees. The rest is the judge's, row for row with the pool.

    true_relevance: ``[N]`` float32 in [0, 1]. true_values: ``[N, 10]`` int16. long_tail: ``[N]`` float32 in [0, 1].
    """

    user_id: str
    pool: Pool
    true_relevance: NDArray[np.float32]
    true_values: NDArray[np.int16]
    long_tail: NDArray[np.float32]


class RequestSource(Protocol):
    """Where an environment gets its episodes: every request's pool has ``pool_size`` candidates."""

    pool_size: int

    def sample(self, rng: np.random.Generator) -> Request: ...


class RequestSampler:
    """Requests of some users over the items of one split.

    A pool is a weighted sample without replacement that leans to the user's estimate, as a recall stage would, in
    random order: a ranker that cannot tell candidates apart gains nothing from ties. What the user has bought, by
    ``interactions``, is recalled only when the other items do not fill the pool: the estimate was made from it.
    Raises FvrecError without users or when ``pool_size`` exceeds the items.
    """

    def __init__(
        self, items: ItemTable, users: Sequence[User], pool_size: int, interactions: Sequence[Interaction] = ()
    ) -> None:
        if not users:
            raise FvrecError("there are no users to sample requests for")
        if not 1 <= pool_size <= len(items):
            raise FvrecError("the pool does not fit the items", found=pool_size, allowed=f"1 to {len(items)}")
        self.pool_size = pool_size
        self._items = items
        self._users = tuple(users)
        self._bought = _bought_rows(items, interactions)
        self._true_match = np.stack([match_table(user.preferences) for user in users])
        self._seen_match = np.stack([match_table(user.estimate) for user in users])

    def __len__(self) -> int:
        return len(self._users)

    def sample(self, rng: np.random.Generator) -> Request:
        """A request of a user drawn at random."""
        return self.of_user(int(rng.integers(len(self._users))), rng)

    def of_user(self, index: int, rng: np.random.Generator) -> Request:
        """A request of the user at ``index`` in the order given."""
        return self.over(index, self._recall(index, rng))

    def over(self, index: int, rows: NDArray[np.int64]) -> Request:
        """A request of the user at ``index`` whose candidates are ``rows`` of the items, in that order."""
        pool = self._pool(index, rows)
        true_values = self._items.true_values[rows]
        match = self._true_match[index][_COLUMNS, true_values]
        return Request(
            user_id=self._users[index].user_id,
            pool=pool,
            true_relevance=relevance(match, true_values),
            true_values=true_values,
            long_tail=self._items.long_tail[rows],
        )

    def of_every_user(self, *, seed: int) -> list[Request]:
        """One request of each user, in order: the same seed gives the same requests."""
        rng = np.random.default_rng(seed)
        return [self.of_user(index, rng) for index in range(len(self))]

    def _recall(self, index: int, rng: np.random.Generator) -> NDArray[np.int64]:
        believed = self._believed_match(index, np.arange(len(self._items)))
        score = relevance(believed, self._items.predicted_values)
        keys = RECALL_SHARPNESS * score + rng.gumbel(size=len(self._items))
        keys[self._bought.get(self._users[index].user_id, [])] = -np.inf
        return rng.permutation(np.argpartition(-keys, self.pool_size - 1)[: self.pool_size])

    def _pool(self, index: int, rows: NDArray[np.int64]) -> Pool:
        match = self._believed_match(index, rows)
        values = self._items.predicted_values[rows]
        return Pool(
            item_ids=tuple(self._items.item_ids[row] for row in rows),
            relevance=relevance(match, values),
            embeddings=self._items.embeddings[rows],
            values=values,
            field_match=match,
            confidence=self._items.confidence[rows],
        )

    def _believed_match(self, index: int, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        values = self._items.predicted_values[rows]
        raw = self._seen_match[index][_COLUMNS, values]
        # A doubtful reading says little either way: it moves towards 0.5, what an unknown value gets.
        believed = 0.5 + self._items.confidence[rows] * (raw - 0.5)
        return np.where(values == UNKNOWN_CODES, np.float32(0.5), believed).astype(np.float32)


def _bought_rows(items: ItemTable, interactions: Sequence[Interaction]) -> dict[str, list[int]]:
    """user_id -> rows of the table that the user bought; purchases of items outside it are in no pool anyway."""
    rows = {item_id: row for row, item_id in enumerate(items.item_ids)}
    bought: dict[str, list[int]] = {}
    for interaction in interactions:
        if interaction.item_id in rows:
            bought.setdefault(interaction.user_id, []).append(rows[interaction.item_id])
    return bought
