"""Opening product photos: the whole file is decoded, upright, RGB, and no file can blow up the memory."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

MAX_BYTES = 64 * 1024 * 1024
MAX_PIXELS = 64_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")

IMAGE_MISSING, IMAGE_UNREADABLE, IMAGE_TOO_LARGE = "image_missing", "image_unreadable", "image_too_large"


class ImageError(Exception):
    """A photo that cannot be used. ``reason`` is the quarantine's machine word, the text says what was wrong."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class Inspection:
    """What a full read of one file found: ``sha256`` of its bytes, or ``reason`` and ``detail`` of the failure."""

    sha256: str = ""
    reason: str = ""
    detail: str = ""


def read_image(path: Path, *, at_least: int | None = None) -> Image.Image:
    """The photo, fully decoded, turned upright by its EXIF mark, in RGB (transparency over white).

    at_least: a large JPEG may be decoded at a fraction of its size, each side still this many pixels or more.
    Raises ImageError.
    """
    return _decode(read_bytes(path), at_least)


def decode_image(data: bytes, *, at_least: int | None = None) -> Image.Image:
    """The same for a photo that came as bytes (an upload)."""
    if len(data) > MAX_BYTES:
        raise ImageError(IMAGE_TOO_LARGE, f"{len(data)} bytes; allowed: {MAX_BYTES}")
    return _decode(data, at_least)


def inspect_image(path: Path) -> Inspection:
    """Hash and decode one file; a failure is a result, not an exception."""
    try:
        data = read_bytes(path)
        _decode(data, at_least=224)
    except ImageError as problem:
        return Inspection(reason=problem.reason, detail=str(problem))
    return Inspection(sha256=hashlib.sha256(data).hexdigest())


def read_bytes(path: Path) -> bytes:
    """The file's bytes. ImageError when it is absent, unreadable or too large."""
    try:
        if not path.is_file():
            raise ImageError(IMAGE_MISSING, "no such file")
        if path.stat().st_size > MAX_BYTES:
            raise ImageError(IMAGE_TOO_LARGE, f"{path.stat().st_size} bytes; allowed: {MAX_BYTES}")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise ImageError(IMAGE_UNREADABLE, f"{type(error).__name__}: {error}") from error


def _decode(data: bytes, at_least: int | None) -> Image.Image:
    # Pillow's decoders answer broken bytes with many exception types (OSError, SyntaxError, ValueError, struct.error,
    # zlib.error ...), so only a broad catch keeps one bad file from ending the run.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _upright_rgb(BytesIO(data), at_least)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(IMAGE_TOO_LARGE, str(error)) from error
    except UnidentifiedImageError as error:
        raise ImageError(IMAGE_UNREADABLE, f"none of the formats {', '.join(FORMATS)}") from error
    except Exception as error:
        raise ImageError(IMAGE_UNREADABLE, f"{type(error).__name__}: {error}") from error


def _upright_rgb(file: BytesIO, at_least: int | None) -> Image.Image:
    with Image.open(file, formats=FORMATS) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ImageError(IMAGE_TOO_LARGE, f"{width} x {height} pixels; allowed: {MAX_PIXELS} in all")
        if at_least is not None:
            image.draft("RGB", (at_least, at_least))
        image.load()
        upright = ImageOps.exif_transpose(image)
        if not upright.has_transparency_data:
            return upright.convert("RGB")
        paper = Image.new("RGBA", upright.size, "white")
        return Image.alpha_composite(paper, upright.convert("RGBA")).convert("RGB")
