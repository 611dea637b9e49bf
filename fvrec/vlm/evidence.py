"""Where a value was read: each grid cell of the photo is hidden in turn, and what that costs the value is its evidence.

Occlusion (Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks") on the tower's feature
cells: a hidden cell is replaced by the mean of the others, and all cells go through the model in one batch. A cell's
deep features also see around it, so the map says where the features that count are, to within the tower's receptive
field.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fvrec.errors import FvrecError

Score = Callable[[Tensor], NDArray[np.floating]]
"""``[B, T, D]`` features -> ``[B]`` log-probabilities of one value."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """For the answer ``value`` in ``field``: ``map`` ``[rows, cols]`` in [0, 1], its largest entry 1.

    drop: by how much the log-probability of the value falls when the cell of that entry is hidden, in nats. Where
    hiding no cell makes the value less probable the map is 0 throughout and drop is 0.
    """

    field: str
    value: str
    map: NDArray[np.float32]
    drop: float


def occlusion_drops(features: Tensor, score: Score) -> NDArray[np.float64]:
    """``[T]``: how far the score falls when cell t of ``features`` ``[T, D]`` is hidden. Negative where it rises."""
    cells = features.shape[0]
    if cells < 2:
        raise FvrecError("a map needs a grid of cells", found=cells, allowed="2 or more")
    others = (features.sum(dim=0, keepdim=True) - features) / (cells - 1)  # [T, D]
    hidden = features.repeat(cells, 1, 1)  # [T, T, D]
    hidden[torch.arange(cells), torch.arange(cells)] = others
    scores = np.asarray(score(torch.cat([features.unsqueeze(0), hidden])), dtype=np.float64)
    drops: NDArray[np.float64] = scores[0] - scores[1:]
    return drops


def as_evidence(field: str, value: str, drops: NDArray[np.float64]) -> Evidence:
    """The square map of a grid's drops ``[T]``; what speaks against the value is 0."""
    side = math.isqrt(len(drops))
    if side * side != len(drops):
        raise FvrecError("the cells are no square grid", found=len(drops))
    positive = np.maximum(drops, 0.0).reshape(side, side)
    largest = float(positive.max())
    scaled = positive / largest if largest > 0 else positive
    return Evidence(field, value, scaled.astype(np.float32), largest)
