"""Which candidates a ranker gets to see: those that break no hard constraint, best scored first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Shortlist:
    """``rows`` of the table, best first; the first ``kept`` of them break no hard constraint."""

    rows: NDArray[np.int64]
    kept: int


def shortlist(scores: NDArray[np.float64], allowed: NDArray[np.int64], *, k: int, size: int) -> Shortlist:
    """The ``size`` best of ``allowed``; where these cannot fill a list of ``k``, all of them, then the best others.

    scores: ``[N]``; allowed: rows that break no hard constraint, ascending. Where there are none, the ``size`` best of
    all: no wish is held higher than another then, but by its weight in the score. Ties go to the lower row.
    """
    everything = np.arange(len(scores), dtype=np.int64)
    if len(allowed) == 0:
        return Shortlist(best(scores, everything, max(size, k)), 0)
    if len(allowed) >= min(k, len(scores)):
        rows = best(scores, allowed, max(size, k))
        return Shortlist(rows, len(rows))
    others = np.setdiff1d(everything, allowed, assume_unique=True)
    kept = best(scores, allowed, len(allowed))
    return Shortlist(np.concatenate([kept, best(scores, others, max(size, k) - len(kept))]), len(kept))


def best(scores: NDArray[np.float64], rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The ``count`` best scored of ``rows``, best first; ties keep the order of ``rows``."""
    points = scores[rows]
    if count < len(rows):
        least = np.partition(points, len(rows) - count)[len(rows) - count]
        likely = np.flatnonzero(points >= least)
        rows, points = rows[likely], points[likely]
    return np.asarray(rows[np.argsort(-points, kind="stable")[:count]], dtype=np.int64)
