"""Where a value was read: each part of the photo is hidden in turn, and what that costs the value is its evidence.

Occlusion (Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks") on the photo itself: a hidden
window is white, as the ground that products stand on, and the tower looks at every such photo anew. So nothing of the
window is left in features that see around it or sum the photo up. The fields before the one in question are decoded
anew too: what counts is the whole loss of not seeing the window.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.prompts import extraction_messages
from fvrec.schema import FIELDS, VALUES
from fvrec.vlm.samples import Sample

if TYPE_CHECKING:
    from fvrec.vlm.constrained import DecodedField
    from fvrec.vlm.extract import Extractor
    from fvrec.vlm.images import ImageInput

SIDE = 7
"""Windows along one side of the photo, whatever the tower's own grid."""
_HIDDEN = 255
_MORE = 0.5
Score = Callable[[NDArray[np.uint8]], NDArray[np.floating[Any]]]
"""``[B, S, S, 3]`` photos -> ``[B]`` log-probabilities of one value."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """For the answer ``value`` in ``field``: ``map`` ``[rows, cols]`` in [0, 1], its largest entry 1.

    drop: by how much the log-probability of the value falls when the window of that entry is hidden, in nats. Where
    hiding no window makes the value less probable the map is 0 throughout and drop is 0.
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
    if loaded.pixels is None:
        raise FvrecError(loaded.error, where=image if isinstance(image, str) else type(image).__name__)
    messages = tuple(extraction_messages(title, description, with_image=True))
    inputs = "image_title" if title or description else "image"
    return evidence_of(extractor, Sample("", inputs, messages, "", loaded.sha256), loaded.pixels, field)


def evidence_of(extractor: Extractor, sample: Sample, pixels: NDArray[np.uint8], field: str) -> Evidence:
    """The same for a sample that shows an image, and that image as the tower takes it ``[S, S, 3]``."""
    if field not in FIELDS:
        raise FvrecError("no such field", found=field, allowed=FIELDS)
    ids = extractor.encoder.fit(sample, extractor.answer_tokens).ids

    def read(photos: NDArray[np.uint8]) -> DecodedField:
        features = torch.from_numpy(extractor.tower.encode(photos).astype(np.float32))
        return extractor.decoder.decode([ids] * len(photos), features)[field]

    chosen = int(read(pixels[None].copy()).greedy[0])  # torch warns of an array that is read-only
    drops = occlusion_drops(pixels, lambda photos: read(photos).log_probs[:, chosen])
    return as_evidence(field, VALUES[field][chosen], drops)


def occlusion_drops(pixels: NDArray[np.uint8], score: Score, side: int = SIDE) -> NDArray[np.float64]:
    """How far the score falls when a window of ``pixels`` ``[S, S, 3]`` is hidden, ``[side * side]``, row by row.

    Negative where it rises. FvrecError when the photo has fewer pixels than windows.
    """
    size = len(pixels)
    if not 1 < side <= size:
        raise FvrecError("a photo cannot be hidden window by window", found=side, allowed=f"2 to {size} a side")
    # Half a window more on each side: what a window hides of a thing, its neighbours would show.
    starts, ends = (
        np.clip((np.arange(side) + edge) * size / side, 0, size).round().astype(int) for edge in (-_MORE, 1 + _MORE)
    )
    photos = np.repeat(pixels[None], side * side + 1, axis=0)
    for window in range(side * side):
        row, column = divmod(window, side)
        photos[window + 1, starts[row] : ends[row], starts[column] : ends[column]] = _HIDDEN
    scores = np.asarray(score(photos), dtype=np.float64)
    drops: NDArray[np.float64] = scores[0] - scores[1:]
    return drops


def as_evidence(field: str, value: str, drops: NDArray[np.float64]) -> Evidence:
    """The square map of the windows' drops ``[side * side]``; what speaks against the value is 0."""
    side = math.isqrt(len(drops))
    if side * side != len(drops):
        raise FvrecError("the windows are no square grid", found=len(drops))
    positive = np.maximum(drops, 0.0).reshape(side, side)
    largest = float(positive.max())
    scaled = positive / largest if largest > 0 else positive
    return Evidence(field, value, scaled.astype(np.float32), largest)
