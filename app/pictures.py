"""Pictures on the page: uploads that cannot hurt, and product photos as small squares."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps

from fvrec.errors import FvrecError
from fvrec.imaging import FORMATS, ImageError, decode_image, read_image

MAX_UPLOAD_MB = 10
CARD_SIDE = 360
"""Pixels of a card's square picture: wide enough for a phone's full width at its usual density."""


def decode_upload(data: bytes) -> Image.Image:
    """The visitor's picture, upright and in RGB. FvrecError when it is too large, a bomb, or not a picture."""
    allowed = f"{', '.join(FORMATS)} of at most {MAX_UPLOAD_MB} MB"
    if len(data) > MAX_UPLOAD_MB * 1024 * 1024:
        raise FvrecError("the picture is too large", found=f"{len(data) / 1024 / 1024:.1f} MB", allowed=allowed)
    try:
        return decode_image(data, at_least=CARD_SIDE)
    except ImageError as problem:
        raise FvrecError("this file cannot be used as a picture", found=str(problem), allowed=allowed) from problem


@lru_cache(maxsize=1024)
def card_picture(path: Path) -> bytes | None:
    """A product photo as a square JPEG on white; None when the file is gone or damaged."""
    try:
        return square_jpeg(read_image(path, at_least=CARD_SIDE))
    except ImageError:
        return None


def square_jpeg(photo: Image.Image) -> bytes:
    """The whole picture in a square of ``CARD_SIDE``, padded with white."""
    file = BytesIO()
    ImageOps.pad(photo, (CARD_SIDE, CARD_SIDE), color="white").save(file, "JPEG", quality=88)
    return file.getvalue()
