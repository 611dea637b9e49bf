"""One garment's ten values -> one product photo, 224 x 224 RGB."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageFilter

from fvrec.sources.drawing.accessories import (
    draw_backpack,
    draw_bag,
    draw_hat,
    draw_scarf,
    draw_sunglasses,
    draw_watch,
)
from fvrec.sources.drawing.bottoms import draw_shorts, draw_skirt, draw_trousers
from fvrec.sources.drawing.canvas import OVERSAMPLING, PIXELS, SIZE, Canvas, Rgb
from fvrec.sources.drawing.cues import draw_cues
from fvrec.sources.drawing.footwear import draw_boot, draw_casual_shoe, draw_heel
from fvrec.sources.drawing.look import Look, dress_up
from fvrec.sources.drawing.tops import draw_top

CATEGORIES: Mapping[str, Callable[[Canvas, Look], None]] = {
    **dict.fromkeys(("tshirt", "shirt", "sweater", "hoodie", "jacket", "coat", "blazer", "dress"), draw_top),
    **dict.fromkeys(("jeans", "pants"), draw_trousers),
    "shorts": draw_shorts,
    "skirt": draw_skirt,
    "casual_shoes": draw_casual_shoe,
    "heels": draw_heel,
    "boots": draw_boot,
    "bag": draw_bag,
    "backpack": draw_backpack,
    "hat": draw_hat,
    "scarf": draw_scarf,
    "sunglasses": draw_sunglasses,
    "watch": draw_watch,
}
"""category -> how it is drawn."""
_WALLS: tuple[Rgb, ...] = (
    (206, 214, 222), (222, 214, 204), (204, 216, 208), (216, 206, 216), (198, 204, 212), (212, 210, 206),
)  # fmt: skip
_SHADOW: Rgb = (54, 54, 60)
_MIDDLE, _TOP = 138.0, 10.0


def render(values: Mapping[str, str], rng: np.random.Generator) -> Image.Image:
    """Draw the garment with its cues before a plain wall; place, size, light and grain differ by ``rng``."""
    look = dress_up(values, rng)
    at = (_MIDDLE + rng.uniform(-3.5, 3.5), _TOP + rng.uniform(-4, 4))
    canvas = Canvas(at, rng.uniform(0.91, 1.0))
    CATEGORIES[values["category"]](canvas, look)
    draw_cues(canvas, values, (rng.uniform(-2, 2), rng.uniform(-2, 2)))
    picture = _wall(rng)
    _drop_shadow(picture, canvas.image)
    picture.paste(canvas.image, mask=canvas.image)
    return _grain(picture.reduce(OVERSAMPLING), rng)


def _wall(rng: np.random.Generator) -> Image.Image:
    """A plain wall that darkens downwards, and a floor."""
    wall = np.array(_WALLS[int(rng.integers(len(_WALLS)))], dtype=np.float32) * rng.uniform(0.96, 1.04)
    light = np.linspace(1.04, rng.uniform(0.92, 0.98), PIXELS, dtype=np.float32)
    floor = int(PIXELS * rng.uniform(0.8, 0.86))
    light[floor:] *= 0.94
    column = np.clip(light[:, None, None] * wall, 0, 255).astype(np.uint8)
    return Image.fromarray(column).resize((PIXELS, PIXELS), Image.Resampling.NEAREST)


def _drop_shadow(picture: Image.Image, layer: Image.Image) -> None:
    small = layer.getchannel("A").reduce(8).filter(ImageFilter.GaussianBlur(1.6)).point(lambda a: a * 0.28)
    shadow = small.resize(picture.size, Image.Resampling.BILINEAR)
    picture.paste(_SHADOW, (8, 10), shadow)


def _grain(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(picture, dtype=np.float32) * rng.uniform(0.97, 1.03)
    noise = rng.standard_normal((SIZE, SIZE, 1), dtype=np.float32) * rng.uniform(1.0, 3.0)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))
