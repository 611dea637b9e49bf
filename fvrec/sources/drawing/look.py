"""What a drawing routine is told about the garment it draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from fvrec.sources.drawing.canvas import Canvas, Point, Rgb, arc, edge, shade
from fvrec.sources.drawing.fabric import accent_of, emboss, tint, weave

MANNEQUIN: Rgb = (232, 221, 210)
MANNEQUIN_EDGE: Rgb = (190, 176, 163)


@dataclass(frozen=True)
class Look:
    """One garment's ten values with the cloth they make."""

    values: Mapping[str, str]
    base: Rgb
    accent: Rgb
    cloth: Image.Image
    second_cloth: Image.Image
    rng: np.random.Generator

    def __getitem__(self, field: str) -> str:
        return self.values[field]

    @property
    def line(self) -> Rgb:
        """Colour of seams and outlines."""
        return edge(self.base)

    @property
    def inside(self) -> Rgb:
        """Colour of what lies in the garment's own shadow."""
        return shade(self.base, 0.55) if sum(self.base) > 150 else (12, 12, 14)


def dress_up(values: Mapping[str, str], rng: np.random.Generator) -> Look:
    """Cut the cloth for these values."""
    base, accent = tint(values["color"], rng), accent_of(values["color"])
    cloth = weave(base, accent, values["pattern"], values["material"], rng)
    second = Image.new("RGB", cloth.size, accent)
    if values["pattern"] == "colorblock":
        second = emboss(second, values["material"], rng)
    return Look(values, base, accent, cloth, second, rng)


def block(canvas: Canvas, look: Look, points: list[Point]) -> None:
    """The second colour of a colour-blocked garment: the part of it that ``points`` covers."""
    if look["pattern"] == "colorblock":
        canvas.cloth(points, look.second_cloth, outline=look.line)


def emblem(canvas: Canvas, look: Look, centre: Point, radius: float) -> None:
    """The one big print of a ``graphic`` garment."""
    if look["pattern"] != "graphic":
        return
    shapes: list[Callable[[Point, float], list[Point]]] = [_star, _bolt, _mountain]
    x, y = centre
    canvas.disc(centre, radius, look.accent)
    canvas.disc(centre, radius * 0.84, None, outline=look.base, width=2.0)
    canvas.fill(shapes[int(look.rng.integers(len(shapes)))]((x, y), radius * 0.62), look.base)


def _star(centre: Point, radius: float) -> list[Point]:
    outer, inner = arc(centre, (radius, radius), -90, 270, 5), arc(centre, (radius * 0.42, radius * 0.42), -54, 306, 5)
    return [point for pair in zip(outer, inner, strict=True) for point in pair]


def _bolt(centre: Point, radius: float) -> list[Point]:
    shape = [(0.25, -1), (-0.6, 0.15), (-0.05, 0.15), (-0.3, 1), (0.6, -0.2), (0.05, -0.2)]
    return [(centre[0] + x * radius, centre[1] + y * radius) for x, y in shape]


def _mountain(centre: Point, radius: float) -> list[Point]:
    shape = [(-1, 0.6), (-0.35, -0.5), (0, 0.05), (0.3, -0.3), (1, 0.6)]
    return [(centre[0] + x * radius, centre[1] + y * radius) for x, y in shape]
