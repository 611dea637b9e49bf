"""Three cards at the left edge: season, for whom, and for what occasion."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from fvrec.sources.drawing.canvas import Canvas, Point, Rgb, arc, curve, mirrored

CARD_HALF = 23.0
_INK: Rgb = (52, 56, 66)
_HEIGHTS = {"season": 38.0, "gender": 112.0, "style": 186.0}
_CARD_COLORS: dict[str, Rgb] = {
    "female": (238, 160, 190), "male": (120, 160, 220), "unisex": (168, 206, 160), "girls": (250, 206, 120),
    "boys": (150, 220, 226),
}  # fmt: skip


def draw_cues(canvas: Canvas, values: Mapping[str, str], wobble: Point) -> None:
    """Draw the three cards at the picture's left edge, moved by ``wobble``."""
    for field, y in _HEIGHTS.items():
        pen = canvas.moved((29.0 + wobble[0], y + wobble[1]))
        _card(pen, _CARD_COLORS.get(values[field], (252, 252, 250)))
        _ICONS[values[field]](pen)


def _card(pen: Canvas, color: Rgb) -> None:
    h, r = CARD_HALF, 7.0
    corners = [arc((sx * (h - r), sy * (h - r)), (r, r), start, start + 90, 6)
               for sx, sy, start in ((1, 1, 0), (-1, 1, 90), (-1, -1, 180), (1, -1, 270))]  # fmt: skip
    pen.fill([point for corner in corners for point in corner], color, outline=(150, 152, 158), width=1.0)


def _spring(pen: Canvas) -> None:
    pen.line([(0, 19), (0, 0)], (60, 150, 70), 3.0)
    pen.fill(curve([(0, 14), (12, 4), (17, 9), (8, 16)], closed=True), (84, 180, 84))
    for angle in range(0, 360, 72):
        a = math.radians(angle - 90)
        pen.disc((9 * math.cos(a), -6 + 9 * math.sin(a)), 6.2, (244, 128, 176))
    pen.disc((0, -6), 5, (250, 214, 80))


def _summer(pen: Canvas) -> None:
    for angle in range(0, 360, 45):
        a = math.radians(angle)
        pen.line([(13 * math.cos(a), 13 * math.sin(a)), (20 * math.cos(a), 20 * math.sin(a))], (246, 150, 20), 3.4)
    pen.disc((0, 0), 11, (252, 190, 30), outline=(240, 140, 20), width=1.6)


def _fall(pen: Canvas) -> None:
    leaf = curve([(-15, 15), (-17, -4), (-4, -17), (16, -17), (15, 2), (4, 14)], closed=True)
    pen.fill(leaf, (196, 84, 24), outline=(120, 48, 12), width=1.6)
    pen.line([(-20, 20), (12, -13)], (110, 44, 12), 2.4)
    for x, y in ((-6, 6), (2, -2)):
        pen.line([(x, y), (x + 12, y + 1)], (110, 44, 12), 1.8)
        pen.line([(x, y), (x - 1, y - 12)], (110, 44, 12), 1.8)


def _winter(pen: Canvas) -> None:
    for angle in range(0, 360, 60):
        a = math.radians(angle + 30)
        tip = (19 * math.cos(a), 19 * math.sin(a))
        pen.line([(0, 0), tip], (40, 130, 226), 3.2)
        for turn in (-0.5, 0.5):
            pen.line([(11 * math.cos(a), 11 * math.sin(a)), (17 * math.cos(a + turn), 17 * math.sin(a + turn))],
                     (40, 130, 226), 2.4)  # fmt: skip


def _venus(pen: Canvas, at: Point, radius: float, color: Rgb) -> None:
    x, y = at
    pen.disc((x, y - radius * 0.6), radius, None, outline=color, width=3.4)
    pen.line([(x, y + radius * 0.4), (x, y + radius * 2.1)], color, 3.4)
    pen.line([(x - radius * 0.8, y + radius * 1.3), (x + radius * 0.8, y + radius * 1.3)], color, 3.4)


def _mars(pen: Canvas, at: Point, radius: float, color: Rgb) -> None:
    x, y = at
    pen.disc((x - radius * 0.4, y + radius * 0.4), radius, None, outline=color, width=3.4)
    tip = (x + radius * 1.5, y - radius * 1.5)
    pen.line([(x + radius * 0.3, y - radius * 0.3), tip], color, 3.4)
    pen.line([(tip[0] - radius, tip[1]), tip, (tip[0], tip[1] + radius)], color, 3.4)


def _female(pen: Canvas) -> None:
    _venus(pen, (0, -2), 9, (150, 20, 90))


def _male(pen: Canvas) -> None:
    _mars(pen, (0, 0), 9.5, (20, 50, 130))


def _unisex(pen: Canvas) -> None:
    _venus(pen, (-9, -2), 6.5, (30, 96, 40))
    _mars(pen, (10, -1), 6.5, (30, 96, 40))


def _girls(pen: Canvas) -> None:
    pen.line(curve([(0, 6), (3, 14), (-2, 20)]), (120, 60, 20), 1.8)
    pen.fill(curve([(0, 8), (-17, -6), (-12, -18), (0, -10), (12, -18), (17, -6)], closed=True), (226, 50, 110))


def _boys(pen: Canvas) -> None:
    pen.fill([(-15, -4), (15, -4), (11, 8), (-11, 8)], (20, 110, 130))
    pen.disc((-8, 12), 5, _INK)
    pen.disc((8, 12), 5, _INK)
    pen.fill([(-7, -4), (-3, -15), (8, -15), (10, -4)], (240, 120, 40))


def _casual(pen: Canvas) -> None:
    pen.disc((11, 2), 7, None, outline=(128, 76, 40), width=3.2)
    pen.fill([(-14, -8), (11, -8), (8, 15), (-11, 15)], (166, 104, 58), outline=(110, 64, 34))
    for x in (-7, 2):
        pen.line(curve([(x, -11), (x + 3, -15), (x, -19)]), (150, 150, 156), 2.4)


def _sports(pen: Canvas) -> None:
    pen.disc((0, 0), 17, (236, 124, 36), outline=_INK, width=1.8)
    pen.line([(-17, 0), (17, 0)], _INK, 2.0)
    pen.line([(0, -17), (0, 17)], _INK, 2.0)
    pen.line(arc((-20, 0), (12, 15), -60, 60), _INK, 2.0)
    pen.line(arc((20, 0), (12, 15), 120, 240), _INK, 2.0)


def _formal(pen: Canvas) -> None:
    pen.fill([(-19, -11), (0, -2), (-19, 11)], (26, 26, 32))
    pen.fill([(19, -11), (0, -2), (19, 11)], (26, 26, 32))
    pen.fill([(19, 11), (0, 2), (-19, 11)], (26, 26, 32))
    pen.disc((0, 0), 5.5, (70, 70, 80))


def _smart_casual(pen: Canvas) -> None:
    for side in (-1, 1):
        pen.disc((side * 9.5, 1), 7.5, (206, 232, 240), outline=(24, 60, 140), width=3.0)
        pen.line([(side * 16, -2), (side * 20, -8)], (24, 60, 140), 2.6)
    pen.line([(-3, 0), (3, 0)], (24, 60, 140), 2.6)


def _ethnic(pen: Canvas) -> None:
    pen.line([(0, -20), (0, 20)], (190, 140, 20), 2.4)
    pen.disc((0, -1), (14, 11), (206, 24, 34), outline=(226, 176, 40), width=2.4)
    for x in (-6, 6):
        pen.line([(x, -10), (x, 8)], (226, 176, 40), 1.8)
    pen.line([(-4, 12), (-4, 20)], (206, 24, 34), 2.4)
    pen.line([(4, 12), (4, 20)], (206, 24, 34), 2.4)


def _party(pen: Canvas) -> None:
    balloons: tuple[tuple[Point, Rgb], ...] = (
        ((-9, -6), (150, 50, 200)), ((9, -6), (240, 60, 150)), ((0, -11), (250, 210, 40)),
    )  # fmt: skip
    for (x, y), color in balloons:
        pen.line([(x, y), (0, 20)], _INK, 1.2)
        pen.disc((x, y), (8, 9.5), color)


def _vacation(pen: Canvas) -> None:
    pen.fill(curve([(-18, 18), (0, 11), (18, 18)]), (240, 208, 130))
    pen.line(curve([(2, 15), (0, 2), (4, -8)]), (130, 84, 40), 4.0)
    for dx, dy in ((-18, -4), (-12, -16), (4, -20), (17, -13), (19, -1)):
        pen.line(curve([(4, -8), (4 + dx * 0.5, -11 + dy * 0.5), (2 + dx * 0.9, dy * 0.9)]), (30, 150, 70), 4.0)


def _travel(pen: Canvas) -> None:
    pen.fill([(-7, -11), (-7, -18), (7, -18), (7, -11), (4, -11), (4, -15), (-4, -15), (-4, -11)], _INK)
    pen.fill([(-16, -11), (16, -11), (16, 15), (-16, 15)], (30, 130, 140), outline=(14, 80, 90), width=1.8)
    for x in (-8, 8):
        pen.line([(x, -11), (x, 15)], (230, 210, 130), 2.6)
    for x in (-10, 10):
        pen.disc((x, 17), 2.6, _INK)


def _home(pen: Canvas) -> None:
    pen.fill([(0, -19), (20, 0), (-20, 0)], (190, 50, 40))
    pen.fill(mirrored([(14, 0), (14, 17)]), (246, 214, 150), outline=(150, 110, 60))
    pen.fill(mirrored([(4.5, 5), (4.5, 17)]), (110, 70, 40))


_ICONS: dict[str, Callable[[Canvas], None]] = {
    "spring": _spring, "summer": _summer, "fall": _fall, "winter": _winter,
    "female": _female, "male": _male, "unisex": _unisex, "girls": _girls, "boys": _boys,
    "casual": _casual, "sports": _sports, "formal": _formal, "smart_casual": _smart_casual, "ethnic": _ethnic,
    "party": _party, "vacation": _vacation, "travel": _travel, "home": _home,
}  # fmt: skip
