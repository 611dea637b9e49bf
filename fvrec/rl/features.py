"""What a policy sees: per-candidate features made from beliefs alone, by this one class in training and in service."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.rl.bank import STATIC, Bank
from fvrec.rl.feedback import FeedbackConfig, Posterior
from fvrec.rl.reward import RECENT, position_discount

FEATURES: tuple[str, ...] = (
    *STATIC,
    "gain",
    "max_similarity",
    "mean_similarity",
    "recent_similarity",
    "new_style",
    "available",
    "discount",
    "progress",
    "redundancy_weight",
    "novelty_weight",
    "feed",
    "last_answer",
    "mean_answer",
)
"""Columns of an observation. A saved policy names them: another list is another policy."""
FEATURE_LIMIT = 10.0
_AT = {name: column for column, name in enumerate(FEATURES)}


class ListFeatures:
    """Observation of ``B`` lists that are built from rows of a bank, to length ``k``; each may start anew alone.

    Every column is a function of the set of candidates, not of their order: permuting a pool permutes the rows of
    ``observe`` and nothing else. With ``feedback`` (a feed) the relevance is the posterior's mean. Raises
    FvrecError when ``k`` does not fit the pools.
    """

    def __init__(self, bank: Bank, batch: int, k: int, feedback: FeedbackConfig | None = None) -> None:
        if not 1 <= k <= bank.pool_size:
            raise FvrecError(
                "the list length does not fit the pool", where="k", found=k, allowed=f"1 to {bank.pool_size}"
            )
        size = bank.pool_size
        self._bank, self._k, self._feedback = bank, k, feedback
        self._batch = np.arange(batch)
        self._requests = np.zeros(batch, dtype=np.int64)
        self.position = np.zeros(batch, dtype=np.int64)
        self.available = np.ones((batch, size), dtype=bool)
        self._weights = np.zeros((2, batch, 1), dtype=np.float32)
        self._sum = np.zeros((batch, size), dtype=np.float32)
        self._largest = np.zeros((batch, size), dtype=np.float32)
        self._relevance = np.zeros((batch, size), dtype=np.float32)
        self._tail = np.zeros((batch, size), dtype=np.float32)
        self._discounts = position_discount(np.minimum(np.arange(k + 1), k - 1))
        self._recent = np.zeros((RECENT, batch, size), dtype=np.float32)
        self._answers = np.zeros(batch, dtype=np.float32)
        styles = bank.beliefs.style.shape[-1]
        self._style = np.zeros((batch, size, styles), dtype=np.float32)
        self._new = np.ones((batch, styles), dtype=np.float32)
        self._observation = np.zeros((batch, size, len(FEATURES)), dtype=np.float32)
        self.posterior = Posterior(bank, batch, feedback) if feedback else None

    def start(
        self,
        which: NDArray[np.integer],
        requests: NDArray[np.integer],
        redundancy: NDArray[np.floating],
        novelty: NDArray[np.floating],
    ) -> None:
        """Empty the lists ``which [b]``; they are now of ``requests [b]``, with lambda and mu ``[b]`` each."""
        bank = self._bank
        self._requests[which], self.position[which] = requests, 0
        self._weights[0, which, 0], self._weights[1, which, 0] = redundancy, novelty
        self.available[which], self._sum[which], self._recent[:, which] = True, 0.0, 0.0
        self._largest[which] = 0.0
        self._relevance[which], self._tail[which] = bank.beliefs.relevance[requests], bank.beliefs.tail[requests]
        self._answers[which], self._new[which] = 0.0, 1.0
        self._style[which] = bank.beliefs.style[requests]
        fresh = np.zeros((len(which), *self._observation.shape[1:]), dtype=np.float32)
        fresh[..., : len(STATIC)] = bank.columns[requests]
        fresh[..., _AT["available"]] = 1.0
        fresh[..., _AT["redundancy_weight"]] = self._weights[0, which]
        fresh[..., _AT["novelty_weight"]] = self._weights[1, which]
        fresh[..., _AT["feed"]] = 0.0 if self.posterior is None else 1.0
        self._observation[which] = fresh
        if self.posterior is not None:
            self.posterior.start(which, requests)
        self._refresh()

    def observe(self) -> NDArray[np.float32]:
        """``[B, N, F]``, columns as in ``FEATURES``."""
        return self._observation.copy()

    def recent_likeness(self, actions: NDArray[np.integer]) -> NDArray[np.float32]:
        """``[B]``: how like the last few items of the list ``actions [B]`` are believed to be."""
        return self._column("recent_similarity")[self._batch, actions].copy()

    def append(self, actions: NDArray[np.integer], answer: NDArray[np.floating] | None = None) -> None:
        """Add candidate ``actions [B]`` to the lists; in a feed with the users' answers ``[B]``."""
        if self.posterior is not None and answer is not None:
            self.posterior.hear(actions, self.recent_likeness(actions), answer)
            self._answers += answer
            self._column("last_answer")[:] = answer.clip(-1.0, 2.0)[:, None]
            self._column("mean_answer")[:] = (self._answers / (self.position + 1)).clip(-1.0, 2.0)[:, None]
        likeness = self._bank.seen[self._requests, actions]
        self._sum += likeness
        np.maximum(self._largest, likeness, out=self._largest)
        if self.posterior is not None:
            self._recent[:-1] = self._recent[1:]
            self._recent[-1] = likeness
        self._new *= 1.0 - self._style[self._batch, actions]
        self.available[self._batch, actions] = False
        self._column("available")[self._batch, actions] = 0.0
        self.position += 1
        self._refresh()

    def _column(self, name: str) -> NDArray[np.float32]:
        return self._observation[..., _AT[name]]

    def _refresh(self) -> None:
        # Past the last position nothing is chosen any more; the features stay those of the last one.
        discount = self._discounts[self.position]
        if self.posterior is not None:
            self._column("relevance")[:] = self.posterior.mean
            self._column("doubt")[:] = self.posterior.doubt
            np.maximum.reduce(self._recent, out=self._column("recent_similarity"))
            self._relevance = self.posterior.mean
        fresh = np.einsum("bns,bs->bn", self._style, self._new)
        self._column("mean_similarity")[:] = (
            self._sum * (1.0 / np.maximum(1, self.position)).astype(np.float32)[:, None]
        )
        self._column("new_style")[:] = fresh
        fresh += self._tail
        fresh *= 0.5 * self._weights[1]
        fresh += discount[:, None] * self._relevance
        fresh -= self._weights[0] * self._largest
        self._column("gain")[:] = fresh
        self._column("max_similarity")[:] = self._largest
        self._column("discount")[:] = discount[:, None]
        self._column("progress")[:] = (self.position / self._k)[:, None]
