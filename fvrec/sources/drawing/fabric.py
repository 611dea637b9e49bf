"""Cloth: a colour, a pattern on it, and the relief by which a material is known."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from fvrec.sources.drawing.canvas import PIXELS, Rgb

PALETTE: dict[str, Rgb] = {
    "black": (24, 24, 28),
    "white": (247, 247, 246),
    "gray": (134, 137, 141),
    "red": (202, 28, 40),
    "orange": (244, 112, 14),
    "yellow": (252, 210, 18),
    "green": (42, 142, 70),
    "blue": (28, 84, 200),
    "purple": (124, 46, 166),
    "pink": (248, 150, 192),
    "brown": (124, 72, 36),
    "beige": (220, 202, 172),
}
LIGHT_ACCENT, DARK_ACCENT = (247, 245, 238), (58, 54, 66)
_TAKES_LIGHT_ACCENT = {"black", "blue", "purple", "green", "red", "brown"}
_MARGIN = 112
_RELIEF = PIXELS + _MARGIN
_LIGHT = 78.0
_RELIEF_STRENGTH = {
    "cotton": 0.05, "linen": 0.55, "denim": 0.42, "leather": 0.95, "suede": 0.55, "wool": 0.8, "silk": 0.8,
    "knit": 0.75, "canvas": 0.55, "nylon": 0.8, "metal": 0.9, "rubber": 0.6,
}  # fmt: skip


def tint(color: str, rng: np.random.Generator) -> Rgb:
    """The colour as one product of that colour has it: a little lighter or darker, a little off in hue."""
    light = rng.uniform(0.94, 1.05)
    shifted = np.clip(np.array(PALETTE[color]) * light + rng.normal(0, 3.0, 3), 0, 255)
    return int(shifted[0]), int(shifted[1]), int(shifted[2])


def accent_of(color: str) -> Rgb:
    """The second colour of a pattern: never a colour of the palette that could pass for the main one."""
    return LIGHT_ACCENT if color in _TAKES_LIGHT_ACCENT else DARK_ACCENT


def weave(base: Rgb, accent: Rgb, pattern: str, material: str, rng: np.random.Generator) -> Image.Image:
    """An RGB picture ``[PIXELS, PIXELS]`` of the cloth. Plain for ``graphic`` and ``colorblock``, which are cut."""
    cloth = Image.new("RGB", (PIXELS, PIXELS), base)
    draw = _PATTERNS.get(pattern)
    if draw is not None:
        mask = Image.new("L", cloth.size, 0)
        draw(ImageDraw.Draw(mask), rng)
        cloth.paste(accent, mask=mask)
    return emboss(cloth, material, rng)


def emboss(cloth: Image.Image, material: str, rng: np.random.Generator) -> Image.Image:
    """The material's relief laid on a flat picture: light where it rises, shadow where it sinks."""
    left, top = (int(at) for at in rng.integers(0, _MARGIN, 2))
    box = (left, top, left + PIXELS, top + PIXELS)
    light, shadow = _relief(material)
    return ImageChops.subtract(ImageChops.add(cloth, light.crop(box)), shadow.crop(box))


@cache
def _relief(material: str) -> tuple[Image.Image, Image.Image]:
    """Light and shadow of a material, with a margin to shift them in; made once a process, the same in each."""
    rng = np.random.default_rng([len(material), *material.encode()])
    y, x = np.mgrid[0:_RELIEF, 0:_RELIEF].astype(np.float32)
    height = np.clip(_HEIGHTS[material](x, y, rng), -1.2, 1.2) * _RELIEF_STRENGTH[material] * _LIGHT
    layers = (np.clip(height, 0, 255), np.clip(-height, 0, 255))
    light, shadow = (Image.fromarray(np.repeat(layer.astype(np.uint8)[..., None], 3, axis=2)) for layer in layers)
    return light, shadow


Grid = NDArray[np.float32]


def _noise(rng: np.random.Generator, radius: float) -> Grid:
    image = Image.fromarray(rng.integers(0, 256, (_RELIEF, _RELIEF), dtype=np.uint8))
    blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(radius)) if radius else image, dtype=np.float32)
    return ((blurred - blurred.mean()) / (3 * blurred.std())).astype(np.float32)


def _cotton(x: Grid, y: Grid, rng: np.random.Generator) -> Grid:
    return _noise(rng, 1.0)


def _linen(x: Grid, y: Grid, rng: np.random.Generator) -> Grid:
    rows = np.repeat(rng.normal(0, 1, (_RELIEF // 4, 1)), 4, axis=0)
    columns = np.repeat(rng.normal(0, 1, (1, _RELIEF // 4)), 4, axis=1)
    return np.asarray(0.42 * rows + 0.42 * columns + 0.3 * _noise(rng, 1.0), dtype=np.float32)


def _denim(x: Grid, y: Grid, rng: np.random.Generator) -> Grid:
    return np.asarray(0.75 * np.sin((x + y) * 2 * math.pi / 11.2) + 0.5 * _noise(rng, 2.0), dtype=np.float32)


def _leather(x: Grid, y: Grid, rng: np.random.Generator) -> Grid:
    bumps = _noise(rng, 12)
    return np.asarray(1.2 * np.clip(bumps * 2.6 - 0.2, -0.5, 1.0), dtype=np.float32)


def _suede(x: Grid, y: Grid, rng: np.random.Generator) -> Grid:
    return np.asarray(0.5 * _noise(rng, 7) - 0.9 * np.abs(_noise(rng, 1.6)), dtype=np.float32)


def _wool(x: Grid, y: Grid, rng: np.random.Generator) -> Grid:
    fleck = _noise(rng, 1.8)
    return np.asarray(np.where(np.abs(fleck) > 0.4, 0.9 * np.sign(fleck), 0.5 * fleck), dtype=np.float32)


def _silk(x: Grid, y: Grid, rng: np.random.Generator) -> Grid:
    wave = x + 0.45 * y + 14 * np.sin(y * 2 * math.pi / (PIXELS / 2))
    return np.asarray(np.sin(wave * 2 * math.pi / (PIXELS / 8)) ** 3, dtype=np.float32)


def _knit(x: Grid, y: Grid, rng: np.random.Generator) -> Grid:
    column = np.abs((x / 14) % 1 - 0.5) * 2
    stitch = np.sin((y + column * 9) * 2 * math.pi / 11.2)
    return np.asarray(0.65 * stitch - 0.8 * (column > 0.82), dtype=np.float32)


def _canvas(x: Grid, y: Grid, rng: np.random.Generator) -> Grid:
    checker = np.sign(np.sin(x * 2 * math.pi / 14) * np.sin(y * 2 * math.pi / 14))
    return np.asarray(0.8 * checker + 0.2 * _noise(rng, 1.0), dtype=np.float32)


def _nylon(x: Grid, y: Grid, rng: np.random.Generator) -> Grid:
    depth = (y / 37.34) % 1
    return np.asarray(np.where(depth < 0.09, -1.0, 0.75 * np.cos(depth * math.pi)), dtype=np.float32)


def _metal(x: Grid, y: Grid, rng: np.random.Generator) -> Grid:
    links = (y / 18.67) % 1 < 0.14
    return np.asarray(np.where(links, -1.0, 0.8 * np.cos(x * 2 * math.pi / 32)), dtype=np.float32)


def _rubber(x: Grid, y: Grid, rng: np.random.Generator) -> Grid:
    return np.asarray(np.where((x / 56) % 1 < 0.12, 1.0, -0.12), dtype=np.float32)


_HEIGHTS = {
    "cotton": _cotton, "linen": _linen, "denim": _denim, "leather": _leather, "suede": _suede, "wool": _wool,
    "silk": _silk, "knit": _knit, "canvas": _canvas, "nylon": _nylon, "metal": _metal, "rubber": _rubber,
}  # fmt: skip


def _striped(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    period = int(rng.integers(30, 38))
    upright = rng.random() < 0.4
    for start in range(int(rng.integers(-period, 0)), PIXELS, period):
        stop = start + int(period * 0.36)
        draw.rectangle((start, 0, stop, PIXELS) if upright else (0, start, PIXELS, stop), fill=255)


def _checked(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    period = int(rng.integers(38, 46))
    start = int(rng.integers(-period, 0))
    band = int(period * 0.34)
    cells = range(start, PIXELS, period)
    for at in cells:
        draw.rectangle((at, 0, at + band, PIXELS), fill=100)
        draw.rectangle((0, at, PIXELS, at + band), fill=100)
    for x in cells:
        for y in cells:
            draw.rectangle((x, y, x + band, y + band), fill=215)


def _dotted(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    period, radius = int(rng.integers(28, 34)), int(rng.integers(7, 9))
    for row, y in enumerate(range(0, PIXELS + period, period)):
        for x in range(-period, PIXELS + period, period):
            centre = x + (period // 2 if row % 2 else 0)
            draw.ellipse((centre - radius, y - radius, centre + radius, y + radius), fill=255)


def _floral(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    period = int(rng.integers(50, 58))
    for row, y in enumerate(range(0, PIXELS + period, period)):
        for x in range(0, PIXELS + period, period):
            centre = (x + (period / 2 if row % 2 else 0) + rng.uniform(-5, 5), y + rng.uniform(-5, 5))
            _flower(draw, centre, rng.uniform(9, 10.5), rng.uniform(0, 72))


def _flower(draw: ImageDraw.ImageDraw, centre: tuple[float, float], petal: float, turn: float) -> None:
    for step in range(5):
        angle = math.radians(turn + 72 * step)
        x, y = centre[0] + petal * 1.25 * math.cos(angle), centre[1] + petal * 1.25 * math.sin(angle)
        draw.ellipse((x - petal * 0.82, y - petal * 0.82, x + petal * 0.82, y + petal * 0.82), fill=255)
    draw.ellipse((centre[0] - 5, centre[1] - 5, centre[0] + 5, centre[1] + 5), fill=0)


_PATTERNS = {"striped": _striped, "checked": _checked, "dotted": _dotted, "floral": _floral}
