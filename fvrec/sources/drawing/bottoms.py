"""Trousers, shorts and skirts on the legs of a dress form."""

from __future__ import annotations

from dataclasses import dataclass

from fvrec.sources.drawing.canvas import Canvas, Point, curve, flipped, mirrored, shade
from fvrec.sources.drawing.look import MANNEQUIN, MANNEQUIN_EDGE, Look, block

_STITCH = (226, 150, 60)


@dataclass(frozen=True)
class _Leg:
    """Distances from a leg's middle line: outer and inner, at knee and hem."""

    knee: float
    hem_outer: float
    hem_inner: float


_LEGS = {
    "skinny": _Leg(9, 7, 7),
    "slim": _Leg(11, 9, 9),
    "straight": _Leg(17, 17, 17),
    "loose": _Leg(27, 30, 22),
    "flared": _Leg(12, 40, 21),
}
_SHORTS = {"slim": 13, "regular": 22, "loose": 33}
_SKIRTS = {"slim": 27, "regular": 50, "flared": 80}


def draw_trousers(canvas: Canvas, look: Look) -> None:
    """Jeans and pants: full length, the leg by fit."""
    _legs(canvas)
    leg = _LEGS[look["fit"]]
    side = curve([(27, 36), (35, 62), (23 + leg.knee, 128), (25 + leg.hem_outer, 192)], steps=5)
    right: list[Point] = [(0, 36), *side, (25 - leg.hem_inner, 192), (23 - leg.knee, 128), (0, 86)]
    for points in (right, flipped(right)):
        canvas.cloth(points, look.cloth, outline=look.line, width=1.6)
        hem = [points[-3], points[-4]]
        block(canvas, look, [*_between(points[1:-3], 124), points[-3], (points[-2][0], 124)])
        canvas.line(hem, look.line, 2.6)
    _waist(canvas, look, 27)
    _fly(canvas, look)
    if look["category"] == "jeans":
        _jeans_details(canvas, side)
    else:
        for x in (-1, 1):
            canvas.line([(x * 17, 60), (x * 24, 188)], look.line, 1.4)


def draw_shorts(canvas: Canvas, look: Look) -> None:
    """Shorts to above the knee."""
    _legs(canvas)
    half = _SHORTS[look["fit"]]
    right: list[Point] = [(0, 36), (27, 36), (35, 62), (20 + half, 116), (max(20 - half, 4), 118), (0, 84)]
    for points in (right, flipped(right)):
        canvas.cloth(points, look.cloth, outline=look.line, width=1.6)
        x = points[3][0]
        block(canvas, look, [(x * 0.97, 98), points[3], points[4], (points[4][0] * 0.5, 98)])
        canvas.line([points[3], points[4]], look.line, 3.0)
    _waist(canvas, look, 27)
    _fly(canvas, look)


def draw_skirt(canvas: Canvas, look: Look) -> None:
    """A knee-length skirt, its hem by fit."""
    _legs(canvas)
    half = _SKIRTS[look["fit"]]
    side = curve([(26, 42), (26 + (half - 26) * 0.45, 78), (half, 138)], steps=6)
    canvas.cloth(mirrored(side), look.cloth, outline=look.line, width=1.6)
    block(canvas, look, mirrored([(x, y) for x, y in side if y > 100]))
    if look["fit"] == "flared":
        for x in (-52, -26, 0, 26, 52):
            canvas.line([(x * 0.35, 50), (x, 136)], look.line, 1.4)
    _waist(canvas, look, 26, top=36)


def _legs(canvas: Canvas) -> None:
    leg: list[Point] = [(2, 40), (30, 40), (33, 70), (31, 128), (28, 194), (42, 200), (42, 204), (17, 204), (18, 194),
                        (15, 130), (2, 84)]  # fmt: skip
    canvas.fill(mirrored([(22, 14), (24, 40), (30, 56)]), MANNEQUIN, outline=MANNEQUIN_EDGE)
    for points in (leg, flipped(leg)):
        canvas.fill(points, MANNEQUIN, outline=MANNEQUIN_EDGE)


def _waist(canvas: Canvas, look: Look, half: float, top: float = 32) -> None:
    canvas.fill(mirrored([(half, top), (half + 1.5, top + 9)]), shade(look.base, 0.85), outline=look.line, width=1.6)


def _fly(canvas: Canvas, look: Look) -> None:
    canvas.line([(0, 40), (0, 86)], look.line, 1.8)
    canvas.disc((0, 37), 2.4, (214, 190, 120))
    for side in (-1, 1):
        canvas.line([(side * 14, 42), (side * 31, 54)], look.line, 2.0)


def _jeans_details(canvas: Canvas, side: list[Point]) -> None:
    for sign in (-1, 1):
        canvas.dashes([(sign * (x - 3), y) for x, y in side], _STITCH, 1.6, 4.0)
        canvas.line([(sign * 13, 45), (sign * 19, 54), (sign * 30, 57)], _STITCH, 1.8)
    canvas.line([(4, 42), (6, 70), (0, 80)], _STITCH, 1.8)
    canvas.line([(-27, 44), (27, 44)], _STITCH, 1.8)


def _between(side: list[Point], top: float) -> list[Point]:
    return [(x, y) for x, y in side if y > top]
