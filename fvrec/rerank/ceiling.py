"""What any ranker could reach: with the predictions it is given, and with the truth.

``oracle`` knows the true labels and orders by them. ``ceiling`` is a perfect ranker on the predictions: it sees the
predicted values of the fields that were asked for, and it knows in hindsight how often each combination of them met
the request among these very candidates. Items with the same combination are one to it, so it orders combinations by
their true mean and takes their items in random order. No ranker that goes by those values does better in expectation,
whatever its weights; hindsight makes the bound generous (a combination held by one item gives that item's truth away).
A ranker that also sees titles or confidences can tell such items apart and may pass it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError


def oracle(gains: NDArray[np.float64], k: int) -> float:
    """Mean gain of the ``k`` best of ``[N]`` gains.

    >>> oracle(np.array([0.0, 1.0, 0.5]), k=2)
    0.75
    """
    _check(gains, k)
    return float(-np.sort(-gains)[:k].mean())


def ceiling(gains: NDArray[np.float64], seen: NDArray[np.integer], k: int) -> float:
    """Expected mean gain at ``k`` of the best order of the distinct rows of ``seen``; ties within a row are random.

    gains: ``[N]``, true; seen: ``[N, F]``, all that the ranker sees of each. With F = 0 the mean of all gains.

    >>> ceiling(np.array([1.0, 0.0, 1.0]), np.array([[3], [3], [4]]), k=2)  # row 4 first, then one of two from row 3
    0.75
    """
    _check(gains, k)
    if seen.shape[1] == 0:
        return float(gains.mean())
    _, group, size = np.unique(seen, axis=0, return_inverse=True, return_counts=True)
    mean = np.bincount(group.ravel(), weights=gains) / size
    order = np.argsort(-mean, kind="stable")
    room = min(k, len(gains))
    before = np.cumsum(size[order]) - size[order]
    taken = np.clip(room - before, 0, size[order])
    return float((taken * mean[order]).sum() / room)


def _check(gains: NDArray[np.float64], k: int) -> None:
    if k < 1 or len(gains) == 0:
        raise FvrecError("a ceiling needs candidates and a positive list length", found=(len(gains), k))
