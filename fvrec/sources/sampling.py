"""A seeded sample of a source's rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Row = TypeVar("Row")


def sample(rows: Sequence[Row], limit: int | None, seed: int) -> list[Row]:
    """At most ``limit`` of ``rows``, chosen by ``seed``, in their old order; all of them without a limit."""
    if limit is None or limit >= len(rows):
        return list(rows)
    chosen = np.random.default_rng(seed).permutation(len(rows))[:limit]
    return [rows[index] for index in sorted(chosen)]
