"""Every kind of photo that shops hand over, and files that only look like one."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageChops

from fvrec.imaging import ImageError, decode_image, inspect_image, inspect_many, read_image
from fvrec.perceptual import perceptual_hash


def scene(seed: int, size: tuple[int, int] = (90, 120)) -> Image.Image:
    """Coloured blobs of a size that a photo of one product has."""
    grain = np.random.default_rng(seed).integers(0, 256, (28, 21, 3), dtype=np.uint8)
    return Image.fromarray(grain).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_its_shades(kind: str) -> None:
    grey = np.array([[0, 20_000, 40_000, 65_535]], dtype=np.uint16)
    read = decode_image(encoded(Image.fromarray(grey), kind))
    assert [read.getpixel((x, 0)) for x in range(4)] == [(0,) * 3, (78,) * 3, (156,) * 3, (255,) * 3]


def test_floating_point_grey_keeps_its_shades() -> None:
    grey = np.array([[0.0, 0.5, 1.0]], dtype=np.float32)
    read = decode_image(encoded(Image.fromarray(grey), "TIFF"))
    assert [read.getpixel((x, 0))[0] for x in range(3)] == [0, 127, 255]


def _without_adobe_mark(data: bytes) -> bytes:
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


def test_cmyk_photos_are_no_negatives_with_or_without_adobes_mark() -> None:
    red = Image.new("RGB", (16, 16), (200, 30, 30)).convert("CMYK")
    adobe = encoded(red, "JPEG", quality=95)
    plain = _without_adobe_mark(encoded(ImageChops.invert(red), "JPEG", quality=95))
    for data in (adobe, plain):
        pixel = decode_image(data).getpixel((8, 8))
        assert pixel == pytest.approx((200, 30, 30), abs=6)


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (12, 12), color) for color in ("red", "blue", "green")]
    for kind in ("GIF", "WEBP", "PNG"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options)
        assert decode_image(data).getpixel((5, 5)) == (255, 0, 0), kind


def test_palette_transparency_is_white_paper() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.putpixel((0, 0), 0)
    read = decode_image(encoded(image, "PNG", transparency=0))
    assert read.getpixel((0, 0)) == (255, 255, 255)
    assert read.getpixel((4, 4)) == (255, 0, 0)


@pytest.mark.parametrize("mark", range(1, 9))
def test_all_eight_ways_to_hold_a_camera(mark: int) -> None:
    stored = scene(1, (40, 20))
    exif = Image.Exif()
    exif[0x0112] = mark
    read = decode_image(encoded(stored, "PNG", exif=exif))
    from PIL import ImageOps

    with Image.open(BytesIO(encoded(stored, "PNG", exif=exif))) as image:
        expected = ImageOps.exif_transpose(image)
    assert read.size == expected.size
    assert ImageChops.difference(read, expected.convert("RGB")).getbbox() is None


def test_a_broken_exif_block_does_not_cost_the_photo() -> None:
    data = encoded(scene(2), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert decode_image(data).size == (90, 120)


def test_a_pipe_or_a_folder_is_no_photo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    assert inspect_image(tmp_path / "pipe.jpg").reason == "image_missing"
    assert inspect_image(tmp_path / "folder.jpg").reason == "image_missing"
    with pytest.raises(ImageError):
        read_image(tmp_path / ("x" * 300))


@pytest.mark.parametrize("seed", range(6))
def test_the_perceptual_hash_is_imagehashs(seed: int) -> None:
    image = scene(seed)
    assert perceptual_hash(image).hex() == str(imagehash.phash(image, hash_size=16, highfreq_factor=2))


def test_one_flat_tone_has_no_perceptual_hash() -> None:
    assert perceptual_hash(Image.new("RGB", (50, 50), (250, 250, 250))) == b""


def test_many_inspections_say_what_each_alone_says(tmp_path: Path) -> None:
    scene(1).save(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(b"nothing")
    Image.new("L", (30, 30)).save(tmp_path / "c.png")
    paths = [str(tmp_path / name) for name in ("a.jpg", "b.jpg", "c.png")]
    many = inspect_many("\0".join(paths))
    for at, path in enumerate(paths):
        one, found = inspect_image(path), many.found[64 * at : 64 * (at + 1)]
        assert found == bytes.fromhex(one.sha256).ljust(32, b"\0") + bytes.fromhex(one.phash).ljust(32, b"\0")
        assert many.problems.get(at, ("", "")) == (one.reason, one.detail)
