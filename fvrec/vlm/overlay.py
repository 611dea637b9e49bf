"""An evidence map drawn over its photo."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fvrec.vlm.pixels import to_pixels

_HEAT = (255, 40, 0)


def overlay(image: Image.Image, evidence: NDArray[np.floating[Any]], size: int = 224) -> Image.Image:
    """The photo in the square that the tower sees, greyed, with its evidence ``[rows, cols]`` glowing over it."""
    photo = to_pixels(image, size).astype(np.float32)
    grey = photo.mean(axis=2, keepdims=True)
    cells = Image.fromarray((np.clip(evidence, 0, 1) * 255).astype(np.uint8))
    heat = np.asarray(cells.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)[..., None] / 255
    mixed = (0.65 * grey + 0.35 * photo) * (1 - 0.7 * heat) + 0.7 * heat * np.array(_HEAT, dtype=np.float32)
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))
