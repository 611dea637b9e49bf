"""Where a value was read: each grid cell of the photo is hidden in turn, and what that costs the value is its evidence.

Occlusion (Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks") on the tower's feature
cells: a hidden cell is replaced by the mean of the others, and all cells go through the model in one batch. The fields
before the one in question are decoded anew: what counts is the whole loss of not seeing the cell. A cell's deep
features also see around it, so the map is as sharp as the tower's receptive field.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fvrec.errors import FvrecError
from fvrec.prompts import extraction_messages
from fvrec.schema import FIELDS, VALUES
from fvrec.vlm.samples import Sample

if TYPE_CHECKING:
    from fvrec.vlm.extract import Extractor
    from fvrec.vlm.images import ImageInput

Score = Callable[[Tensor], NDArray[np.floating[Any]]]
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


def evidence(
    extractor: Extractor, image: ImageInput, field: str, *, title: str = "", description: str = ""
) -> Evidence:
    """Where on the photo the extractor reads ``field``. FvrecError on an unknown field or a photo that cannot be read.

    The answer is that of mode ``constrained`` on these inputs, before any abstention.
    """
    from fvrec.vlm.images import ImageFeatures

    images = ImageFeatures(extractor.tower)
    loaded = images.load(image)
    if loaded.error:
        raise FvrecError(loaded.error, where=image if isinstance(image, str) else type(image).__name__)
    features = images.encode([loaded]).rows([loaded.sha256])[0]
    messages = tuple(extraction_messages(title, description, with_image=True))
    inputs = "image_title" if title or description else "image"
    return evidence_of(extractor, Sample("", inputs, messages, "", loaded.sha256), features, field)


def evidence_of(extractor: Extractor, sample: Sample, features: NDArray[np.float16], field: str) -> Evidence:
    """The same for a sample that shows an image, and that image's tower features ``[T, D]``."""
    if field not in FIELDS:
        raise FvrecError("no such field", found=field, allowed=FIELDS)
    ids = extractor.encoder.fit(sample, extractor.answer_tokens).ids
    shown = torch.from_numpy(features.astype(np.float32))
    chosen = int(extractor.decoder.decode([ids], shown.unsqueeze(0))[field].greedy[0])

    def score(batch: Tensor) -> NDArray[np.floating[Any]]:
        return extractor.decoder.decode([ids] * len(batch), batch)[field].log_probs[:, chosen]

    return as_evidence(field, VALUES[field][chosen], occlusion_drops(shown, score))


def occlusion_drops(features: Tensor, score: Score) -> NDArray[np.float64]:
    """How far the score falls when a cell of ``features`` ``[T, D]`` is hidden, ``[cells]``. Negative where it rises.

    The cells are the largest square that T holds; what stands behind them (a summary) is always seen.
    """
    cells = math.isqrt(features.shape[0]) ** 2
    if cells < 2:
        raise FvrecError("a map needs a grid of cells", found=cells, allowed="2 or more")
    grid = features[:cells]
    others = (grid.sum(dim=0, keepdim=True) - grid) / (cells - 1)  # [cells, D]
    hidden = features.repeat(cells, 1, 1)  # [cells, T, D]
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
