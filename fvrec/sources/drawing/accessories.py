"""Bags, hats, scarves, sunglasses and watches."""

from __future__ import annotations

from fvrec.sources.drawing.canvas import Canvas, arc, curve, mirrored, shade
from fvrec.sources.drawing.look import Look, block, emblem

_BRASS, _STEEL = (214, 184, 104), (190, 194, 200)


def draw_bag(canvas: Canvas, look: Look) -> None:
    """A handbag with one arched handle and a clasp."""
    canvas.line(arc((0, 92), (36, 62), 180, 360), shade(look.base, 0.6), 8.0)
    canvas.line(arc((0, 92), (36, 62), 180, 360), look.base, 5.0)
    body = curve([(-52, 88), (0, 86), (52, 88), (64, 130), (66, 176), (0, 182), (-66, 176), (-64, 130)], closed=True)
    canvas.cloth(body, look.cloth, outline=look.line, width=2.2)
    block(canvas, look, curve([(-64, 130), (64, 130), (66, 176), (0, 182), (-66, 176)], closed=True))
    canvas.line(curve([(-54, 92), (-30, 120), (30, 120), (54, 92)]), look.line, 2.4)
    canvas.fill([(-8, 112), (8, 112), (8, 128), (-8, 128)], _BRASS, outline=shade(_BRASS, 0.6))
    emblem(canvas, look, (0, 152), 20)


def draw_backpack(canvas: Canvas, look: Look) -> None:
    """A day pack from the front: top handle, straps at the sides, front pocket."""
    for side in (-1, 1):
        canvas.line(curve([(side * 30, 46), (side * 64, 70), (side * 66, 130), (side * 46, 170)]),
                    shade(look.base, 0.55), 8.0)  # fmt: skip
    canvas.line(arc((0, 38), (14, 18), 180, 360), shade(look.base, 0.55), 5.0)
    body = curve([(-46, 70), (-28, 40), (0, 34), (28, 40), (46, 70), (52, 130), (48, 184), (0, 190), (-48, 184),
                  (-52, 130)], closed=True)  # fmt: skip
    canvas.cloth(body, look.cloth, outline=look.line, width=2.2)
    block(canvas, look, curve([(-52, 128), (52, 128), (48, 184), (0, 190), (-48, 184)], closed=True))
    canvas.line(arc((0, 98), (42, 40), 190, 350), _STEEL, 2.6)
    pocket = curve([(-34, 124), (0, 118), (34, 124), (36, 174), (0, 180), (-36, 174)], closed=True)
    canvas.line([*pocket, pocket[0]], look.line, 3.0)
    canvas.line([(-32, 132), (32, 132)], _STEEL, 2.6)
    emblem(canvas, look, (0, 90), 20)


def draw_hat(canvas: Canvas, look: Look) -> None:
    """A wide-brimmed hat with a band."""
    brim = arc((0, 138), (80, 24), 0, 360, 40)
    canvas.cloth(brim, look.cloth, outline=look.line, width=2.2)
    crown = curve([(-48, 134), (-46, 84), (-24, 62), (0, 68), (24, 62), (46, 84), (48, 134), (0, 146)], closed=True)
    canvas.cloth(crown, look.cloth, outline=look.line, width=2.0)
    block(canvas, look, curve([(-46, 92), (-44, 82), (-24, 63), (0, 69), (24, 63), (44, 82), (46, 92)], closed=True))
    band = [*arc((0, 120), (48, 10), 180, 0, 14), *arc((0, 132), (48, 11), 0, 180, 14)]
    canvas.fill(band, shade(look.base, 0.5) if sum(look.base) > 210 else (120, 112, 104), outline=look.line)


def draw_scarf(canvas: Canvas, look: Look) -> None:
    """A scarf wound once, both ends hanging, with fringes."""
    for tail in ([(-34, 74), (-2, 74), (-8, 174), (-44, 174)], [(4, 74), (34, 74), (46, 158), (12, 160)]):
        for step in range(7):
            a, b = tail[3], tail[2]
            x, y = a[0] + (b[0] - a[0]) * step / 6, a[1] + (b[1] - a[1]) * step / 6
            canvas.line([(x, y), (x, y + 12)], look.line, 2.4)
        canvas.cloth([(float(x), float(y)) for x, y in tail], look.cloth, outline=look.line, width=2.0)
        (x2, y2), (x3, y3) = tail[2], tail[3]
        block(canvas, look, [(x3 + 4, y3 - 48), (x2 - 2, y2 - 48), (x2, y2), (x3, y3)])
    wrap = arc((0, 62), (62, 34), 0, 360, 40)
    canvas.cloth(wrap, look.cloth, outline=look.line, width=2.2)
    canvas.disc((0, 50), (34, 13), look.inside, outline=look.line)
    canvas.line(arc((0, 60), (54, 25), 160, 20), look.line, 2.0)


def draw_sunglasses(canvas: Canvas, look: Look) -> None:
    """Sunglasses from the front: thick frame, dark lenses."""
    for side in (-1, 1):
        canvas.line(curve([(side * 72, 92), (side * 80, 84), (side * 78, 70)]), look.base, 9.0)
        lens = curve([(side * 8, 88), (side * 40, 80), (side * 76, 86), (side * 74, 118), (side * 48, 138),
                      (side * 18, 126)], closed=True)  # fmt: skip
        canvas.cloth(lens, look.cloth, outline=look.line, width=2.0)
        inner = [(side * 42 + (x - side * 42) * 0.68, 107 + (y - 107) * 0.62) for x, y in lens]
        canvas.fill(inner, (44, 48, 58), outline=look.line)
        canvas.line([(side * 30, 100), (side * 42, 116)], (150, 160, 176), 4.0)
    canvas.line(arc((0, 96), (11, 9), 190, 350), look.base, 9.0)


def draw_watch(canvas: Canvas, look: Look) -> None:
    """A wrist watch lying flat, strap up and down."""
    for points in (mirrored([(20, 14), (27, 76)]), mirrored([(27, 136), (20, 200)])):
        canvas.cloth(points, look.cloth, outline=look.line, width=2.2)
    if look["material"] != "metal":
        canvas.fill([(-24, 8), (24, 8), (24, 16), (-24, 16)], _STEEL, outline=shade(_STEEL, 0.6))
        for y in (160, 172, 184):
            canvas.disc((0, y), 2.8, look.inside)
    canvas.disc((0, 106), 46, _STEEL, outline=shade(_STEEL, 0.55), width=2.0)
    canvas.disc((0, 106), 37, (250, 250, 248), outline=shade(_STEEL, 0.5), width=1.6)
    for point in arc((0, 106), (31, 31), 0, 330, 11):
        canvas.disc(point, 2.2, (60, 60, 66))
    canvas.line([(0, 106), (0, 82)], (40, 40, 46), 3.2)
    canvas.line([(0, 106), (17, 114)], (40, 40, 46), 3.2)
