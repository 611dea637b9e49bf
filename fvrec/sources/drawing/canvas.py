"""A layer to draw on in units of the finished picture (224 x 224), at twice its size so that edges come out soft."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from copy import copy

from PIL import Image, ImageDraw

SIZE = 224
OVERSAMPLING = 2
PIXELS = SIZE * OVERSAMPLING

Rgb = tuple[int, int, int]
Point = tuple[float, float]


class Canvas:
    """A transparent layer. Every point is (x, y) around the origin ``at``, times ``scale``, in finished pixels."""

    def __init__(self, at: Point = (0.0, 0.0), scale: float = 1.0) -> None:
        self.image = Image.new("RGBA", (PIXELS, PIXELS), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self.image)
        self.at, self.scale = at, scale

    def moved(self, at: Point) -> Canvas:
        """The same layer, drawn on from another origin at scale 1."""
        other = copy(self)
        other.at, other.scale = at, 1.0
        return other

    def fill(self, points: Sequence[Point], color: Rgb, *, outline: Rgb | None = None, width: float = 1.2) -> None:
        """A filled polygon, with a closed outline when a colour for it is given."""
        self._draw.polygon(self._place(points), fill=color)
        if outline is not None:
            self.line([*points, points[0]], outline, width)

    def line(self, points: Sequence[Point], color: Rgb, width: float = 1.2) -> None:
        """An open line with round joints."""
        self._draw.line(self._place(points), fill=color, width=self._thickness(width), joint="curve")

    def dashes(self, points: Sequence[Point], color: Rgb, width: float = 1.0, dash: float = 3.0) -> None:
        """A stitched line: dashes and gaps of the same length."""
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            steps = max(1, int(math.dist((x0, y0), (x1, y1)) / dash))
            for step in range(0, steps, 2):
                a, b = step / steps, min(1.0, (step + 1) / steps)
                self.line(
                    [(x0 + (x1 - x0) * a, y0 + (y1 - y0) * a), (x0 + (x1 - x0) * b, y0 + (y1 - y0) * b)], color, width
                )

    def disc(
        self, centre: Point, radius: float | Point, color: Rgb | None, *, outline: Rgb | None = None, width: float = 1.2
    ) -> None:
        """An ellipse (``radius``: one number, or one for each axis)."""
        rx, ry = radius if isinstance(radius, tuple) else (radius, radius)
        box = self._place([(centre[0] - rx, centre[1] - ry), (centre[0] + rx, centre[1] + ry)])
        self._draw.ellipse(box, fill=color, outline=outline, width=self._thickness(width))

    def cloth(self, points: Sequence[Point], fabric: Image.Image, *, outline: Rgb, width: float = 1.4) -> None:
        """A polygon cut from ``fabric`` (an RGB picture of the canvas' size)."""
        mask = Image.new("L", self.image.size, 0)
        ImageDraw.Draw(mask).polygon(self._place(points), fill=255)
        box = mask.getbbox()
        if box is not None:
            self.image.paste(fabric.crop(box), box[:2], mask.crop(box))
        self.line([*points, points[0]], outline, width)

    def _place(self, points: Sequence[Point]) -> list[Point]:
        size = self.scale * OVERSAMPLING
        return [(self.at[0] * OVERSAMPLING + x * size, self.at[1] * OVERSAMPLING + y * size) for x, y in points]

    def _thickness(self, width: float) -> int:
        return max(1, round(width * self.scale * OVERSAMPLING))


def curve(points: Sequence[Point], *, closed: bool = False, steps: int = 6) -> list[Point]:
    """A smooth line through the points (Catmull-Rom)."""
    count = len(points)
    smooth: list[Point] = []
    for index in range(count if closed else count - 1):
        quad = [points[(index + k) % count if closed else min(max(index + k, 0), count - 1)] for k in (-1, 0, 1, 2)]
        smooth.extend(_between(quad, step / steps) for step in range(steps))
    return smooth if closed else [*smooth, points[-1]]


def mirrored(right: Sequence[Point]) -> list[Point]:
    """A closed shape from its right half, given from top to bottom."""
    return [*right, *((-x, y) for x, y in reversed(right))]


def flipped(points: Sequence[Point]) -> list[Point]:
    """The same shape on the other side of the middle."""
    return [(-x, y) for x, y in points]


def arc(centre: Point, radius: Point, start: float, end: float, steps: int = 20) -> list[Point]:
    """Points on an ellipse from ``start`` to ``end`` degrees (0: right, 90: down)."""
    angles = [math.radians(start + (end - start) * step / steps) for step in range(steps + 1)]
    return [(centre[0] + radius[0] * math.cos(a), centre[1] + radius[1] * math.sin(a)) for a in angles]


def shade(color: Rgb, factor: float) -> Rgb:
    """Darker below 1, lighter (towards white) above."""
    if factor <= 1.0:
        return (int(color[0] * factor), int(color[1] * factor), int(color[2] * factor))
    lift = factor - 1.0
    return tuple(int(channel + (255 - channel) * lift) for channel in color)  # type: ignore[return-value]


def edge(color: Rgb) -> Rgb:
    """An outline that can be seen on that colour, dark ones included."""
    return shade(color, 0.62) if sum(color) > 210 else shade(color, 1.32)


def _between(quad: Sequence[Point], t: float) -> Point:
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = quad
    return _spline(ax, bx, cx, dx, t), _spline(ay, by, cy, dy, t)


def _spline(a: float, b: float, c: float, d: float, t: float) -> float:
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
