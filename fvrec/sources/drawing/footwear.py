"""Shoes from the side, toe to the right."""

from __future__ import annotations

from fvrec.sources.drawing.canvas import Canvas, Point, curve, shade
from fvrec.sources.drawing.look import Look, block

_SOLE = (238, 236, 230)


def draw_casual_shoe(canvas: Canvas, look: Look) -> None:
    """A low sneaker with laces and a light sole."""
    upper = curve(
        [(-70, 84), (-52, 74), (-30, 92), (-10, 70), (4, 72), (30, 104), (62, 116), (76, 132), (74, 146), (-68, 146),
         (-74, 116)],
        closed=True,
    )  # fmt: skip
    canvas.cloth(upper, look.cloth, outline=look.line, width=2.0)
    block(canvas, look, curve([(-72, 88), (-52, 78), (-32, 96), (-28, 144), (-68, 144), (-73, 116)], closed=True))
    canvas.fill(curve([(-76, 142), (0, 146), (78, 140), (80, 152), (70, 160), (-68, 160), (-78, 154)], closed=True),
                _SOLE, outline=(150, 148, 142), width=1.6)  # fmt: skip
    canvas.line(curve([(36, 106), (44, 124), (40, 144)]), look.line, 2.2)
    for step in range(4):
        x, y = -4 + step * 9.5, 80 + step * 8.5
        canvas.line([(x - 8, y + 9), (x + 7, y - 2)], (252, 252, 252), 3.4)
        canvas.line([(x - 8, y + 11), (x + 7, y)], (90, 90, 96), 1.0)


def draw_heel(canvas: Canvas, look: Look) -> None:
    """A pump on a high thin heel."""
    upper: list[Point] = curve(
        [(-62, 62), (-54, 66), (-40, 96), (-4, 122), (30, 124), (62, 138), (78, 152), (70, 158), (28, 158), (-6, 142),
         (-38, 122), (-62, 104), (-70, 80)],
        closed=True,
    )  # fmt: skip
    heel: list[Point] = [(-68, 92), (-44, 118), (-54, 170), (-62, 170)]
    canvas.cloth(heel, look.cloth, outline=look.line, width=2.0)
    canvas.cloth(upper, look.cloth, outline=look.line, width=2.0)
    block(canvas, look, curve([(6, 123), (32, 125), (62, 139), (77, 152), (69, 157), (28, 157), (8, 149)], closed=True))
    canvas.line(curve([(78, 155), (28, 161), (-8, 144), (-40, 124)]), (70, 56, 50), 3.0)


def draw_boot(canvas: Canvas, look: Look) -> None:
    """A boot to the calf with a block heel."""
    shaft = curve(
        [(-52, 22), (-4, 22), (-2, 60), (2, 100), (34, 116), (62, 128), (70, 150), (-54, 150), (-56, 110), (-50, 70)],
        closed=True,
    )
    canvas.cloth(shaft, look.cloth, outline=look.line, width=2.0)
    block(canvas, look, [(-54, 24), (-3, 24), (-1, 84), (-51, 84)])
    sole = (60, 46, 38) if sum(look.base) > 150 else (150, 120, 88)
    canvas.fill([(-58, 148), (72, 148), (74, 158), (6, 158), (-12, 156), (-12, 172), (-58, 172)], sole,
                outline=shade(sole, 0.7))  # fmt: skip
    canvas.line([(-50, 34), (-3, 34)], look.line, 2.2)
    canvas.line(curve([(-54, 112), (-30, 104), (0, 100)]), look.line, 2.0)
    canvas.fill([(-50, 14), (-40, 14), (-40, 34), (-50, 34)], shade(look.base, 0.75), outline=look.line)
