"""Image files -> the square uint8 arrays that towers read."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fvrec.errors import FvrecError

_BACKGROUND = (255, 255, 255)  # product photos stand on white: padding must not look like an object


def load_pixels(source: Path | IO[bytes], size: int, *, where: Path | None = None) -> NDArray[np.uint8]:
    """Decode, orient, pad to a square on white and resize: ``[size, size, 3]`` uint8 RGB.

    FvrecError if unreadable; it names ``where`` the bytes came from, or else the source itself.
    """
    try:
        with Image.open(source) as image:
            image.draft("RGB", (size, size))  # big JPEGs decode at a fraction of the cost
            return to_pixels(image, size)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise FvrecError(f"image cannot be read ({error})", where=where or source) from error


def to_pixels(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """The same for an opened image; transparent parts become white."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        rgba = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", rgba.size, (*_BACKGROUND, 255)), rgba)
    square = ImageOps.pad(upright.convert("RGB"), (size, size), method=Image.Resampling.BICUBIC, color=_BACKGROUND)
    return np.asarray(square, dtype=np.uint8)
