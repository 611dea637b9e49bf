"""Which candidates a request is judged on: three seeded draws from the held-out items."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

CandidateDraw = Literal["catalogue", "category", "recall"]
DRAWS: tuple[CandidateDraw, ...] = ("catalogue", "category", "recall")
"""``catalogue``: uniform over all held-out items, what a shop does; the numbers without a slice are of this one.
``category`` and ``recall`` are those of the project plan (9.1): uniform over the items of the same category as the item
that the request was made from, and its nearest neighbours by picture embedding, itself included."""
SIZES: dict[CandidateDraw, int] = {"catalogue": 1000, "category": 100, "recall": 100}


def draw(
    kind: CandidateDraw,
    target: int,
    size: int,
    *,
    category: NDArray[np.int16],
    embeddings: NDArray[np.float32],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """At most ``size`` distinct rows in random order, ``target`` among them; how many others match is left to chance.

    category: ``[N]``, each item's label (all alike where the source labels none). embeddings: ``[N, D]``; without any
    (D = 0) a recall is a uniform draw.
    """
    if kind == "recall" and embeddings.shape[1]:
        nearness = embeddings @ embeddings[target]
        nearness[target] = np.inf
        return rng.permutation(np.argsort(-nearness, kind="stable")[:size])
    among = np.arange(len(category)) if kind != "category" else np.flatnonzero(category == category[target])
    others = rng.permutation(among[among != target])[: max(size - 1, 0)]
    return rng.permutation(np.append(others, target))
