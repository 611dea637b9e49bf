"""Image files -> the square uint8 arrays that towers read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fvrec.errors import FvrecError

_BACKGROUND = (255, 255, 255)  # product photos stand on white: padding must not look like an object


@dataclass(frozen=True)
class View:
    """One way to look at a photo: a window of ``scale`` times its padded side, at ``x`` and ``y`` of the room left.

    All three are shares in [0, 1]; ``flip`` mirrors left and right.
    """

    flip: bool = False
    scale: float = 1.0
    x: float = 0.5
    y: float = 0.5


def view_of(sha256: str, name: str) -> View | None:
    """The view of that name: ``flip``, or ``crop0``, ``crop1``, ... (a window of 75 to 95 %, half of them mirrored).

    Empty: None, the photo itself. It hangs on photo and name alone, so that cached features serve every seed.
    """
    if not name:
        return None
    if name == "flip":
        return View(flip=True)
    if not re.fullmatch(r"crop\d+", name):
        raise FvrecError("unknown view of a photo", found=name, allowed="flip, crop0, crop1, ...")
    rng = np.random.default_rng(list(f"{sha256}/{name}".encode()))
    scale, x, y = rng.uniform(0.75, 0.95), rng.random(), rng.random()
    return View(bool(rng.random() < 0.5), float(scale), float(x), float(y))


def load_pixels(
    source: Path | IO[bytes], size: int, *, where: Path | None = None, view: View | None = None
) -> NDArray[np.uint8]:
    """Decode, orient, pad to a square on white and resize: ``[size, size, 3]`` uint8 RGB, seen as ``view`` says.

    FvrecError if unreadable; it names ``where`` the bytes came from, or else the source itself.
    """
    try:
        with Image.open(source) as image:
            whole = round(size / view.scale) if view else size
            image.draft("RGB", (whole, whole))  # big JPEGs decode at a fraction of the cost
            square = to_pixels(image, whole)
            return _seen(square, size, view) if view else square
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


def _seen(square: NDArray[np.uint8], size: int, view: View) -> NDArray[np.uint8]:
    """``[W, W, 3]`` with W = size / scale -> the view's window, ``[size, size, 3]``."""
    room = square.shape[0] - size
    left, top = round(view.x * room), round(view.y * room)
    window = square[top : top + size, left : left + size]
    return np.ascontiguousarray(window[:, ::-1] if view.flip else window)
