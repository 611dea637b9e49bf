"""Necklines: the line where the cloth begins, and what stands on it (collar, hood, roll)."""

from __future__ import annotations

from fvrec.sources.drawing.canvas import Canvas, Point, arc, curve, flipped, mirrored, shade
from fvrec.sources.drawing.look import Look

_LINES: dict[str, list[Point]] = {
    "round": [(-16, 36), *arc((0, 38), (15, 17), 180, 0, 12), (16, 36)],
    "v_neck": [(-15, 36), (0, 82), (15, 36)],
    "square": [(-21, 38), (-20, 66), (20, 66), (21, 38)],
    "boat": [(-33, 42), *arc((0, 42), (31, 7), 170, 10, 10), (33, 42)],
    "collar": [(-14, 35), (0, 64), (14, 35)],
    "turtleneck": [(-12, 34), (0, 38), (12, 34)],
    "hooded": [(-16, 36), (0, 62), (16, 36)],
}


def bare_shoulders(neckline: str) -> bool:
    """The cloth leaves the shoulders free."""
    return neckline in ("halter", "strapless", "off_shoulder")


def neck_line(neckline: str, chest: float) -> list[Point]:
    """Where the torso's cloth begins, from its left armpit or shoulder to its right."""
    if neckline == "strapless":
        return [(-chest, 70), *curve([(-chest + 2, 66), (-14, 64), (0, 71), (14, 64), (chest - 2, 66)]), (chest, 70)]
    if neckline == "halter":
        return [(-chest, 72), (-7, 30), (0, 50), (7, 30), (chest, 72)]
    if neckline == "off_shoulder":
        return [(-chest - 4, 62), *arc((0, 58), (chest, 10), 170, 10, 10), (chest + 4, 62)]
    inner = [(x, y) if abs(x) > 16 else (x, max(y, 36)) for x, y in _LINES[neckline]]
    return [(-36, 45), *inner, (36, 45)]


def draw_neck(canvas: Canvas, look: Look, *, behind: bool) -> None:
    """The parts of the neck that lie behind the torso's cloth, or those upon it."""
    parts = _BEHIND if behind else _UPON
    part = parts.get(look["neckline"])
    if look["category"] == "blazer" or (look["category"] == "coat" and look["neckline"] == "collar"):
        part = _collar_back if behind else _lapels
    if part is not None:
        part(canvas, look)


def _inner_back(canvas: Canvas, look: Look) -> None:
    canvas.fill([(-15, 36), *arc((0, 36), (15, 6), 180, 0, 10), (15, 36)], look.inside)


def _hood(canvas: Canvas, look: Look) -> None:
    shell = curve([(-31, 50), (-29, 20), (0, 4), (29, 20), (31, 50)])
    canvas.cloth(shell, look.cloth, outline=look.line, width=2.2)
    canvas.fill(curve([(-20, 52), (-19, 26), (0, 14), (19, 26), (20, 52)]), look.inside)


def _hood_rim(canvas: Canvas, look: Look) -> None:
    for side in (-1, 1):
        canvas.line([(side * 29, 44), (side * 18, 52), (0, 64)], look.line, 3.0)


def _collar_back(canvas: Canvas, look: Look) -> None:
    canvas.fill([(-14, 26), (14, 26), (15, 40), (-15, 40)], look.inside, outline=look.line)


def _collar_flaps(canvas: Canvas, look: Look) -> None:
    flap: list[Point] = [(13, 25), (0, 60), (14, 68), (25, 44)]
    for points in (flap, flipped(flap)):
        canvas.fill(points, shade(look.base, 1.18), outline=look.line, width=2.0)


def _lapels(canvas: Canvas, look: Look) -> None:
    lapel: list[Point] = [(13, 25), (0, 98), (22, 66), (16, 60), (30, 52), (24, 36)]
    canvas.fill([(-11, 34), (0, 96), (11, 34)], (250, 249, 246), outline=look.line)
    for points in (lapel, flipped(lapel)):
        canvas.cloth(points, look.cloth, outline=look.line, width=2.2)


def _roll(canvas: Canvas, look: Look) -> None:
    canvas.cloth(mirrored([(13, 13), (15, 40)]), look.cloth, outline=look.line, width=2.0)
    for y in (20, 27, 34):
        canvas.line(arc((0, y), (14, 3), 170, 10, 8), look.line, 1.2)


def _band(canvas: Canvas, look: Look) -> None:
    line = neck_line(look["neckline"], 30)
    canvas.line(curve(line[1:-1], steps=3) if look["neckline"] in ("round", "boat") else line[1:-1], look.line, 3.4)


def _ruffle(canvas: Canvas, look: Look) -> None:
    ruffle = [*arc((0, 58), (46, 9), 175, 5, 14), *arc((0, 70), (50, 12), 5, 175, 14)]
    canvas.cloth(ruffle, look.cloth, outline=look.line, width=2.2)


_BEHIND = {"round": _inner_back, "hooded": _hood, "collar": _collar_back}
_UPON = {
    "round": _band, "v_neck": _band, "square": _band, "boat": _band, "collar": _collar_flaps, "turtleneck": _roll,
    "hooded": _hood_rim, "off_shoulder": _ruffle,
}  # fmt: skip
