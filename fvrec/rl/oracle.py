"""The best list there is for who knows the truth: branch and bound, with a certificate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from fvrec.rl.bank import Bank
from fvrec.rl.beliefs import STYLES
from fvrec.rl.reward import RewardConfig, position_discount
from fvrec.rl.search import Problem, greedy, swap

TOLERANCE = 1e-6


@dataclass(frozen=True)
class Optimum:
    """A list ``[k]``, its true reward, and a bound that no list exceeds; proven when the two meet."""

    chosen: NDArray[np.int64]
    reward: float
    bound: float
    nodes: int

    @property
    def proven(self) -> bool:
        return bool(self.bound <= self.reward + TOLERANCE)


def truth_of(bank: Bank, rows: NDArray[np.integer], reward: RewardConfig) -> Problem:
    """Rows of a bank with the truth in the place of what is believed: its expected reward is the true one."""
    styles = np.eye(STYLES + 1, dtype=np.float32)[np.minimum(bank.true_style[rows], STYLES)][..., :STYLES]
    weights = np.full(len(rows), reward.redundancy), np.full(len(rows), reward.novelty)
    return Problem(
        bank.true_relevance[rows],
        bank.long_tail[rows],
        styles,
        bank.alike[rows],
        *(w.astype(np.float32) for w in weights),
    )


def best_by_search(problem: Problem, k: int) -> NDArray[np.int64]:
    """``[B, k]``: greedy + exchange over the whole pool; a lower bound of the optimum."""
    return swap(problem, greedy(problem, k), sweeps=4, shortlist=problem.relevance.shape[1])


def optimum(problem: Problem, row: int, k: int, *, nodes: int = 2000) -> Optimum:
    """The best list of one pool, at most ``nodes`` partial lists opened; the certificate says whether it is proven.

    Bound of a partial list: an assignment of candidates to the positions left, each paying at least the likeness to the
    list so far, and to whatever fills the places before it at least its t-th smallest likeness in the pool; new styles
    earn no more than the styles left, once each.
    """
    return _Search(problem, row, k, nodes).run()


class _Search:
    def __init__(self, problem: Problem, row: int, k: int, nodes: int) -> None:
        self._relevance = problem.relevance[row].astype(np.float64)
        self._tail = problem.tail[row].astype(np.float64)
        self._alike = problem.seen[row].astype(np.float64)
        self._lambda, self._mu = float(problem.redundancy[row]), float(problem.novelty[row])
        self._style = np.where(problem.style[row].any(axis=1), problem.style[row].argmax(axis=1), -1)
        self._discounts = position_discount(np.arange(k)).astype(np.float64)
        self._k, self._limit, self._nodes = k, nodes, 0
        others = self._alike.copy()
        np.fill_diagonal(others, np.inf)
        self._least = np.concatenate([np.zeros((len(others), 1)), np.sort(others, axis=1)[:, : k - 1]], axis=1).T
        self._best = best_by_search(_one(problem, row), k)[0]
        self._value = float(_one(problem, row).rewards(self._best[None, None])[0, 0])
        self._open = -np.inf

    def run(self) -> Optimum:
        self._expand([], 0.0, np.zeros(len(self._relevance)), frozenset())
        return Optimum(self._best, self._value, max(self._value, self._open), self._nodes)

    def _expand(self, chosen: list[int], value: float, nearest: NDArray[np.float64], shown: frozenset[int]) -> None:
        if len(chosen) == self._k:
            if value > self._value + TOLERANCE:
                self._value, self._best = value, np.array(chosen)
            return
        bound = value + self._left(chosen, nearest, shown)
        if bound <= self._value + TOLERANCE:
            return
        if self._nodes >= self._limit:
            self._open = max(self._open, bound)
            return
        self._nodes += 1
        position = len(chosen)
        fresh = np.array([style >= 0 and style not in shown for style in self._style.tolist()])
        gain = self._discounts[position] * self._relevance - self._lambda * nearest
        gain = gain + 0.5 * self._mu * (self._tail + fresh)
        gain[chosen] = -np.inf
        for index in np.argsort(-gain, kind="stable").tolist():
            if gain[index] == -np.inf:
                break
            style = int(self._style[index])
            self._expand(
                [*chosen, index],
                value + gain[index],
                np.maximum(nearest, self._alike[index]),
                shown | {style} if style >= 0 else shown,
            )

    def _left(self, chosen: list[int], nearest: NDArray[np.float64], shown: frozenset[int]) -> float:
        position = len(chosen)
        places = np.arange(position, self._k)
        redundancy = np.maximum(nearest[None, :], self._least[places])
        worth = self._discounts[places][:, None] * self._relevance - self._lambda * redundancy
        worth = worth + 0.5 * self._mu * self._tail
        worth[:, chosen] = -1e9
        rows, columns = linear_sum_assignment(worth, maximize=True)
        styles = len(set(self._style.tolist()) - {-1} - shown)
        return float(worth[rows, columns].sum()) + 0.5 * self._mu * min(styles, len(places))


def _one(problem: Problem, row: int) -> Problem:
    at = slice(row, row + 1)
    return Problem(
        problem.relevance[at],
        problem.tail[at],
        problem.style[at],
        problem.seen[at],
        problem.redundancy[at],
        problem.novelty[at],
    )
