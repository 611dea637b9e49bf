"""Search for the largest expected reward, on beliefs: greedily, by exchange, by beam; ``B`` pools at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fvrec.rl.bank import Bank
from fvrec.rl.reward import position_discount


@dataclass(frozen=True)
class Problem:
    """``B`` pools of ``N`` as a search sees them.

    relevance, tail: ``[B, N]``. style: ``[B, N, S]``. seen: ``[B, N, N]``. redundancy, novelty: ``[B]``.
    """

    relevance: NDArray[np.float32]
    tail: NDArray[np.float32]
    style: NDArray[np.float32]
    seen: NDArray[np.float32]
    redundancy: NDArray[np.float32]
    novelty: NDArray[np.float32]

    @classmethod
    def of(
        cls, bank: Bank, rows: NDArray[np.integer], redundancy: NDArray[np.floating], novelty: NDArray[np.floating]
    ) -> Problem:
        """Rows of a bank, with lambda and mu ``[B]``."""
        beliefs = bank.beliefs
        return cls(
            beliefs.relevance[rows],
            beliefs.tail[rows],
            beliefs.style[rows],
            bank.seen[rows],
            redundancy.astype(np.float32),
            novelty.astype(np.float32),
        )

    def rewards(self, lists: NDArray[np.integer]) -> NDArray[np.float32]:
        """``[B, M]``: expected reward of each of ``M`` lists ``[B, M, L]``."""
        pool = np.arange(len(lists))[:, None, None]
        length = lists.shape[-1]
        discounted = self.relevance[pool, lists] @ position_discount(np.arange(length))
        pairs = self.seen[pool[..., None], lists[..., :, None], lists[..., None, :]]
        earlier = np.tril(np.ones((length, length), dtype=bool), -1)
        redundancy = np.where(earlier, pairs, 0.0).max(axis=-1).sum(axis=-1)
        style = self.style[pool, lists]
        unseen = np.ones_like(style)
        unseen[..., 1:, :] = np.cumprod(1.0 - style[..., :-1, :], axis=-2)
        fresh = (style * unseen).sum(axis=(-1, -2))
        novelty = 0.5 * (self.tail[pool, lists].sum(axis=-1) + fresh)
        return np.asarray(discounted - self.redundancy[:, None] * redundancy + self.novelty[:, None] * novelty)


def greedy(problem: Problem, k: int, prefix: NDArray[np.integer] | None = None) -> NDArray[np.int64]:
    """``[B, k]``: the largest expected marginal reward at each position, after ``prefix [B, t]``."""
    batch, size = problem.relevance.shape
    rows = np.arange(batch)
    start = np.zeros((batch, 0), dtype=np.int64) if prefix is None else np.asarray(prefix, dtype=np.int64)
    lists = np.zeros((batch, k), dtype=np.int64)
    nearest = np.zeros((batch, size), dtype=np.float32)
    unseen = np.ones((batch, problem.style.shape[-1]), dtype=np.float32)
    taken = np.zeros((batch, size), dtype=bool)
    for position in range(k):
        if position < start.shape[1]:
            chosen = start[:, position]
        else:
            gain = position_discount(position) * problem.relevance - problem.redundancy[:, None] * nearest
            fresh = np.einsum("bns,bs->bn", problem.style, unseen)
            gain += 0.5 * problem.novelty[:, None] * (problem.tail + fresh)
            chosen = np.where(taken, -np.inf, gain).argmax(axis=1)
        lists[:, position] = chosen
        taken[rows, chosen] = True
        np.maximum(nearest, problem.seen[rows, chosen], out=nearest)
        unseen *= 1.0 - problem.style[rows, chosen]
    return lists


def swap(
    problem: Problem, lists: NDArray[np.int64], *, sweeps: int = 2, start: int = 0, shortlist: int = 30
) -> NDArray[np.int64]:
    """Improve lists ``[B, K]`` by exchange until nothing gains or ``sweeps`` are done; positions before ``start`` stay.

    A sweep tries, position by position, each of the ``shortlist`` most promising candidates there: one that is in the
    list already changes places.
    """
    lists = lists.copy()
    batch, k = lists.shape
    rows = np.arange(batch)
    promise = problem.relevance + problem.novelty[:, None] * (problem.tail + problem.style.max(axis=-1))
    best = np.argsort(-promise, axis=1, kind="stable")[:, : min(shortlist, promise.shape[1])]
    value = problem.rewards(lists[:, None])[:, 0]
    for _ in range(sweeps):
        before = value.copy()
        for position in range(start, k):
            options = _exchanged(lists, np.concatenate([best, lists[:, start:]], axis=1), position, start)
            rewards = problem.rewards(options)
            top = rewards.argmax(axis=1)
            better = rewards[rows, top] > value + 1e-6
            lists[better] = options[rows, top][better]
            value = np.where(better, rewards[rows, top], value)
        if not (value > before + 1e-6).any():
            break
    return lists


def _exchanged(lists: NDArray[np.int64], candidates: NDArray[np.int64], position: int, start: int) -> NDArray[np.int64]:
    """``[B, M, K]``: each candidate put at ``position``; one of the list trades places, one of the prefix does not."""
    options = np.repeat(lists[:, None], candidates.shape[1], axis=1)
    moved = options[:, 0, position]
    inside = options == candidates[..., None]
    fixed = inside[..., :start].any(axis=-1)
    options = np.where(inside, moved[:, None, None], options)
    options[..., position] = candidates
    options[fixed] = np.repeat(lists[:, None], candidates.shape[1], axis=1)[fixed]
    return options


def beam(problem: Problem, k: int, *, width: int = 8) -> NDArray[np.int64]:
    """``[B, k]``: beam search with ``width`` lists kept at each position."""
    batch, size = problem.relevance.shape
    rows = np.arange(batch)[:, None]
    lists = np.zeros((batch, 1, 0), dtype=np.int64)
    nearest = np.zeros((batch, 1, size), dtype=np.float32)
    unseen = np.ones((batch, 1, problem.style.shape[-1]), dtype=np.float32)
    taken = np.zeros((batch, 1, size), dtype=bool)
    value = np.zeros((batch, 1), dtype=np.float32)
    for position in range(k):
        fresh = np.einsum("bns,bws->bwn", problem.style, unseen)
        gain = (position_discount(position) * problem.relevance)[:, None] - problem.redundancy[:, None, None] * nearest
        gain = gain + 0.5 * problem.novelty[:, None, None] * (problem.tail[:, None] + fresh)
        total = np.where(taken, -np.inf, value[..., None] + gain).reshape(batch, -1)
        top = np.argsort(-total, axis=1, kind="stable")[:, : min(width, total.shape[1])]
        parent, chosen = top // size, top % size
        value = total[rows, top]
        lists = np.concatenate([lists[rows, parent], chosen[..., None]], axis=2)
        nearest = np.maximum(nearest[rows, parent], problem.seen[rows, chosen])
        unseen = unseen[rows, parent] * (1.0 - problem.style[rows, chosen])
        taken = taken[rows, parent]
        taken[rows, np.arange(taken.shape[1]), chosen] = True
    return lists[:, 0]
