"""Tops, outerwear and dresses on a dress form: torso by fit, sleeves by length, neck by neckline."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from fvrec.sources.drawing.canvas import Canvas, Point, curve, flipped, mirrored, shade
from fvrec.sources.drawing.look import MANNEQUIN, MANNEQUIN_EDGE, Look, block, emblem
from fvrec.sources.drawing.necks import bare_shoulders, draw_neck, neck_line


@dataclass(frozen=True)
class _Cut:
    """Half widths of a torso at chest, waist and hem, and of a sleeve at shoulder and cuff."""

    chest: float
    waist: float
    hem: float
    shoulder: float
    cuff: float


_CUTS = {
    "slim": _Cut(29, 23, 27, 8.5, 6.5),
    "regular": _Cut(37, 36, 38, 11, 9),
    "loose": _Cut(47, 50, 54, 14, 12),
    "flared": _Cut(30, 25, 30, 9, 8),
}
_HEMS = {"tshirt": 130, "shirt": 140, "sweater": 132, "hoodie": 136, "jacket": 124, "coat": 186, "blazer": 146}
_SKIRT_HALF = {"slim": 27, "regular": 46, "flared": 76}
_SLEEVES = {"sleeveless": 0.0, "short": 0.36, "three_quarter": 0.7, "long": 1.0}
_SHOULDER, _WRIST = (35.0, 48.0), (75.0, 122.0)


def draw_top(canvas: Canvas, look: Look) -> None:
    """Any top, outer garment or dress."""
    cut = _CUTS[look["fit"]]
    _form(canvas, look)
    draw_neck(canvas, look, behind=True)
    hem = _torso(canvas, look, cut)
    if not bare_shoulders(look["neckline"]) or look["sleeve_length"] != "sleeveless":
        _sleeves(canvas, look, cut)
    draw_neck(canvas, look, behind=False)
    _DETAILS[look["category"]](canvas, look, cut, hem)
    emblem(canvas, look, (0, 94), 21)


def _form(canvas: Canvas, look: Look) -> None:
    """The dress form behind: neck, shoulders, arms, and legs below a short garment's hem."""
    for arm in (_limb(_SHOULDER, _WRIST, 7, 5), flipped(_limb(_SHOULDER, _WRIST, 7, 5))):
        canvas.fill(arm, MANNEQUIN, outline=MANNEQUIN_EDGE)
    body = curve(mirrored([(8, 12), (9, 32), (35, 45), (26, 72), (20, 98), (24, 120)]), closed=False)
    canvas.fill(body, MANNEQUIN, outline=MANNEQUIN_EDGE)
    canvas.disc((0, 12), (8, 3.5), shade(MANNEQUIN, 0.86), outline=MANNEQUIN_EDGE)


def _torso(canvas: Canvas, look: Look, cut: _Cut) -> float:
    """The body of the garment with its neckline cut out; returns the y of its hem."""
    dress = look["category"] == "dress"
    hem = 190.0 if dress else float(_HEMS[look["category"]])
    side: list[Point] = [(cut.chest, 68), (cut.waist, 98)]
    if dress:
        flare = _SKIRT_HALF[look["fit"]]
        side += [(cut.waist + (flare - cut.waist) * 0.45, 134), (flare, hem)]
    elif look["category"] == "coat":
        side += [(cut.hem, 130), (cut.hem + 6, hem)]
    else:
        side += [(cut.hem, hem)]
    top = neck_line(look["neckline"], cut.chest)
    right = curve([top[-1], *side], steps=5)
    outline = [*top, *right[1:], *flipped(right[1:])[::-1]]
    canvas.cloth(outline, look.cloth, outline=look.line)
    split = hem - (hem - 60) * 0.44
    half = _width_at(right, split)
    lower = [(x, y) for x, y in right if y > split]
    block(canvas, look, mirrored([(half, split), *lower]))
    return hem


def _width_at(side: list[Point], y: float) -> float:
    for (x0, y0), (x1, y1) in itertools.pairwise(side):
        if y0 <= y <= y1 and y1 > y0:
            return x0 + (x1 - x0) * (y - y0) / (y1 - y0)
    return side[-1][0]


def _sleeves(canvas: Canvas, look: Look, cut: _Cut) -> None:
    reach = _SLEEVES[look["sleeve_length"]]
    if reach == 0.0:
        return
    start = (33.0, 60.0) if look["neckline"] == "off_shoulder" else _SHOULDER
    end = (_SHOULDER[0] + (_WRIST[0] - _SHOULDER[0]) * reach, _SHOULDER[1] + (_WRIST[1] - _SHOULDER[1]) * reach)
    sleeve = _limb(start, end, cut.shoulder, cut.cuff)
    ribbed = look["category"] in ("sweater", "hoodie", "jacket")
    cloth = look.second_cloth if look["pattern"] == "colorblock" else look.cloth
    for points in (sleeve, flipped(sleeve)):
        canvas.cloth(points, cloth, outline=look.line, width=1.6)
        cuff = points[2:4]
        if ribbed:
            canvas.line(cuff, shade(look.base, 0.7), 4.0)
        canvas.line(cuff, look.line, 1.8)


def _limb(start: Point, end: Point, half_start: float, half_end: float) -> list[Point]:
    """A tapered bar: [start top, (rounded) …, end outer, end inner, start bottom]."""
    length = math.dist(start, end)
    nx, ny = (end[1] - start[1]) / length, -(end[0] - start[0]) / length
    return [
        (start[0] + nx * half_start * 0.2, start[1] + ny * half_start * 0.9),
        (start[0] + nx * half_start, start[1] + ny * half_start + 2),
        (end[0] + nx * half_end, end[1] + ny * half_end),
        (end[0] - nx * half_end, end[1] - ny * half_end),
        (start[0] - nx * half_start, start[1] - ny * half_start),
    ]


def _tshirt(canvas: Canvas, look: Look, cut: _Cut, hem: float) -> None:
    canvas.line([(-cut.hem, hem - 5), (cut.hem, hem - 5)], look.line, 1.0)


def _shirt(canvas: Canvas, look: Look, cut: _Cut, hem: float) -> None:
    canvas.line([(-4, 62), (-4, hem)], look.line, 1.2)
    canvas.line([(4, 62), (4, hem)], look.line, 1.2)
    for y in range(70, int(hem) - 6, 15):
        canvas.disc((0, y), 2.6, shade(look.base, 1.7), outline=look.line)
    canvas.fill([(13, 72), (26, 72), (26, 84), (19.5, 88), (13, 84)], look.base, outline=look.line)


def _sweater(canvas: Canvas, look: Look, cut: _Cut, hem: float) -> None:
    _rib(canvas, look, cut.hem, hem, 11)


def _hoodie(canvas: Canvas, look: Look, cut: _Cut, hem: float) -> None:
    _rib(canvas, look, cut.hem, hem, 8)
    pocket = [(-15, 104), (15, 104), (25, 126), (-25, 126)]
    canvas.cloth(pocket, look.cloth, outline=look.line, width=2.0)
    for x in (-7, 7):
        canvas.line([(x, 60), (x * 1.1, 84)], (250, 250, 250) if sum(look.base) < 500 else (60, 60, 66), 2.4)


def _jacket(canvas: Canvas, look: Look, cut: _Cut, hem: float) -> None:
    _rib(canvas, look, cut.hem, hem, 9)
    canvas.line([(0, 56), (0, hem)], (206, 208, 212), 4.0)
    canvas.dashes([(0, 56), (0, hem)], (74, 76, 82), 3.0, 2.0)
    for side in (-1, 1):
        canvas.line([(side * 13, 110), (side * 24, 92)], look.line, 3.0)
        canvas.line([(side * 9, 74), (side * 25, 74)], look.line, 2.0)


def _coat(canvas: Canvas, look: Look, cut: _Cut, hem: float) -> None:
    canvas.line([(5, 70), (5, hem)], look.line, 1.8)
    belt = shade(look.base, 0.6) if sum(look.base) > 210 else shade(look.base, 1.3)
    canvas.fill(mirrored([(cut.waist + 1, 104), (cut.waist + 1, 113)]), belt, outline=look.line)
    canvas.fill([(-8, 102), (8, 102), (8, 115), (-8, 115)], (214, 190, 120), outline=look.line)
    for y in (78, 93, 128, 146):
        for x in (-9, 12):
            canvas.disc((x, y), 3.2, shade(look.base, 0.45), outline=shade(look.base, 1.5))


def _blazer(canvas: Canvas, look: Look, cut: _Cut, hem: float) -> None:
    canvas.line([(0, 98), (0, 116), (9, hem)], look.line, 2.0)
    for y in (104, 120):
        canvas.disc((-4, y), 3.0, shade(look.base, 0.4), outline=shade(look.base, 1.6))
    for side in (-1, 1):
        canvas.line([(side * 14, 122), (side * 30, 120)], look.line, 3.2)
    canvas.fill([(14, 76), (26, 76), (23, 68), (20, 73), (17, 67)], (252, 252, 252), outline=look.line)


def _dress(canvas: Canvas, look: Look, cut: _Cut, hem: float) -> None:
    sash = shade(look.base, 0.6) if sum(look.base) > 210 else shade(look.base, 1.3)
    canvas.fill(mirrored([(cut.waist + 0.5, 96), (cut.waist + 1.5, 102)]), sash)
    if look["fit"] == "flared":
        for x in (-44, -22, 0, 22, 44):
            canvas.line([(x * 0.35, 106), (x, hem - 2)], look.line, 1.2)


def _rib(canvas: Canvas, look: Look, half: float, hem: float, height: float) -> None:
    canvas.fill(mirrored([(half, hem - height), (half - 1, hem)]), shade(look.base, 0.82), outline=look.line)
    for x in range(int(-half) + 4, int(half), 6):
        canvas.line([(x, hem - height), (x, hem)], look.line, 1.0)


_DETAILS = {
    "tshirt": _tshirt, "shirt": _shirt, "sweater": _sweater, "hoodie": _hoodie, "jacket": _jacket, "coat": _coat,
    "blazer": _blazer, "dress": _dress,
}  # fmt: skip
