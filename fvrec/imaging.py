"""Opening product photos: the whole file is decoded, upright, RGB, and no file can blow up the memory.

Of an animated file the first frame counts.
"""

from __future__ import annotations

import hashlib
import os
import stat
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, UnidentifiedImageError

from fvrec.perceptual import HASH_BYTES, perceptual_hash

MAX_BYTES = 64 * 1024 * 1024
MAX_PIXELS = 64_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SHA256_BYTES = 32
INSPECTED_SIDE = 224
"""A large JPEG is inspected at a fraction of its size, each side still this many pixels or more."""
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what turns the photo upright."""

IMAGE_MISSING, IMAGE_UNREADABLE, IMAGE_TOO_LARGE = "image_missing", "image_unreadable", "image_too_large"


class ImageError(Exception):
    """A photo that cannot be used. ``reason`` is the quarantine's machine word, the text says what was wrong."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class Inspection:
    """What a full read of one file found: the SHA-256 of its bytes as hex and its perceptual hash as hex (empty for a
    flat photo), or ``reason`` and ``detail`` of the failure."""

    sha256: str = ""
    phash: str = ""
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


def inspect_image(path: str | Path) -> Inspection:
    """Decode one file whole, and hash its bytes and what it shows; a failure is a result, not an exception."""
    try:
        data = read_bytes(path)
        phash = perceptual_hash(_decode(data, INSPECTED_SIDE))
    except ImageError as problem:
        return Inspection(reason=problem.reason, detail=str(problem))
    return Inspection(sha256=hashlib.sha256(data).hexdigest(), phash=phash.hex())


@dataclass(frozen=True)
class Inspections:
    """Many inspections in few bytes, to be sent between processes.

    found: per photo SHA-256 and perceptual hash, 64 bytes in all, zeros where there is none. problems: number of the
    photo -> reason and detail.
    """

    found: bytes
    problems: Mapping[int, tuple[str, str]]


def inspect_many(paths: str) -> Inspections:
    """Inspect the files of these paths, NUL-separated."""
    found, problems = bytearray(), {}
    for at, path in enumerate(paths.split("\0")):
        one = inspect_image(path)
        for digest, width in ((one.sha256, SHA256_BYTES), (one.phash, HASH_BYTES)):
            found += bytes.fromhex(digest).ljust(width, b"\0")
        if one.reason:
            problems[at] = (one.reason, one.detail)
    return Inspections(bytes(found), problems)


def read_bytes(path: str | Path) -> bytes:
    """The file's bytes. ImageError when it is absent, unreadable or too large."""
    try:
        # Not blocking: a pipe in the place of a photo would never answer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise ImageError(IMAGE_MISSING, "no such file") from error
    except (OSError, ValueError) as error:
        raise ImageError(IMAGE_UNREADABLE, f"{type(error).__name__}: {error}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(IMAGE_MISSING, "no such file: something else bears its name")
        if status.st_size > MAX_BYTES:
            raise ImageError(IMAGE_TOO_LARGE, f"{status.st_size} bytes; allowed: {MAX_BYTES}")
        # Not read(MAX_BYTES): it sets as many aside first, which takes longer than a small photo's decoding.
        with open(descriptor, "rb", closefd=False, buffering=0) as file:
            return file.readall()
    except OSError as error:
        raise ImageError(IMAGE_UNREADABLE, f"{type(error).__name__}: {error}") from error
    finally:
        os.close(descriptor)


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
        upright = _UPRIGHT.get(_orientation(image))
        flat = _on_paper(_eight_bits(image))
        return flat if upright is None else flat.transpose(upright)


def _orientation(image: Image.Image) -> int:
    """The EXIF mark; 1 where there is none, or the EXIF block is broken: the photo's pixels are whole all the same."""
    if image.format == "JPEG" and not {"exif", "xmp"} & image.info.keys():
        return 1  # most photos of shops; asking for the tags of one that has none takes a tenth of its inspection
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        return 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """A mode that Pillow turns into RGB without loss of meaning."""
    if image.mode.startswith("I"):
        # Pillow clips 16-bit grey to white instead of scaling it.
        return Image.fromarray((np.asarray(image).clip(0, 65535) / 257).round().astype(np.uint8))
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image))
        return Image.fromarray((values * (255 if values.max() <= 1 else 1)).clip(0, 255).astype(np.uint8))
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        # Pillow reads every CMYK JPEG as Adobe writes them, inverted; without Adobe's mark they are not.
        return ImageChops.invert(image)
    return image


def _on_paper(image: Image.Image) -> Image.Image:
    """RGB, transparency over white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    paper = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")
