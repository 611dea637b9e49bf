"""Plots of the extraction report, from curve rows: reliability and risk-coverage, and where values were read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from fvrec.imaging import ImageError, read_image
from fvrec.records import CurvePoint, Item
from fvrec.schema import FIELDS

RELIABILITY, EVIDENCE = "extraction_reliability.png", "extraction_evidence.png"
SHOWN_MODEL = "lora"
_VARIANTS = ("image", "title", "image_title")
_LABELS = {"verbalised": "written", "computed": "computed", "scaled": "scaled"}
_DPI = 110
_COLUMNS = 4


def render_figures(curves: Sequence[CurvePoint], items: Mapping[str, Item], root: Path) -> dict[str, bytes]:
    """File name in ``reports/`` -> PNG. The same rows and photos give the same bytes."""
    return {RELIABILITY: reliability_plot(curves), EVIDENCE: evidence_sheet(curves, items, root)}


def reliability_plot(curves: Iterable[CurvePoint], model: str = SHOWN_MODEL) -> bytes:
    """Above: how often answers of a confidence are right, all fields together. Below: error rate by coverage."""
    points = [point for point in curves if point.params.get("model") == model]
    figure = Figure(figsize=(12, 7.5), layout="constrained")
    panels = figure.subplots(2, len(_VARIANTS), squeeze=False)
    for column, inputs in enumerate(_VARIANTS):
        own = [point for point in points if point.params.get("inputs") == inputs]
        _reliability_panel(panels[0][column], own, inputs)
        _risk_panel(panels[1][column], own)
    if not points:
        figure.suptitle(f"no confidence of {model} has been measured yet")
    return _png(figure)


def _reliability_panel(axes: Any, points: Sequence[CurvePoint], title: str) -> None:
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for kind, label in _LABELS.items():
        own = [
            p for p in points if p.curve == "reliability" and not p.params["field"] and p.params["confidence"] == kind
        ]
        if own:
            own.sort(key=lambda point: point.x)
            axes.plot([p.x for p in own], [p.y for p in own], marker="o", markersize=4, label=label)
            axes.legend(loc="upper left", frameon=False)
    axes.set(title=title, xlabel="confidence", ylabel="share right", xlim=(0, 1), ylim=(0, 1))


def _risk_panel(axes: Any, points: Sequence[CurvePoint]) -> None:
    for name in FIELDS:
        own = _curve(points, "risk_coverage", name, "scaled")
        if own:
            axes.plot([p.x for p in own], [p.y for p in own], linewidth=1.2, label=name)
            axes.legend(fontsize=7, frameon=False, ncols=2)
    axes.set(xlabel="share answered, surest first", ylabel="share wrong", xlim=(0, 1))
    axes.set_ylim(bottom=0)


def _curve(points: Sequence[CurvePoint], curve: str, name: str, kind: str) -> list[CurvePoint]:
    wanted = {"field": name, "confidence": kind}.items()
    return sorted((p for p in points if p.curve == curve and wanted <= p.params.items()), key=lambda point: point.x)


@dataclass(frozen=True)
class _Read:
    """One stored map with what it explains."""

    item: Item
    field: str
    value: str
    map: NDArray[np.float64]


def evidence_sheet(curves: Iterable[CurvePoint], items: Mapping[str, Item], root: Path) -> bytes:
    """Photos with the cells glowing that a value was read from."""
    reads = _reads(curves, items)
    rows = max(-(-len(reads) // _COLUMNS), 1)
    figure = Figure(figsize=(2.6 * _COLUMNS, 2.9 * rows), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axes in panels:
        axes.axis("off")
    for axes, read in zip(panels, reads, strict=False):
        axes.imshow(_picture(read, root))
        label = read.item.attributes[read.field].value
        verdict = "" if label == read.value else f" (label: {label})"
        axes.set_title(f"{read.item.item_id}\n{read.field}: {read.value}{verdict}", fontsize=7)
    if not reads:
        figure.suptitle("no evidence has been recorded yet")
    return _png(figure)


def _reads(curves: Iterable[CurvePoint], items: Mapping[str, Item]) -> list[_Read]:
    maps: dict[tuple[str, str, str], dict[int, float]] = {}
    for point in curves:
        if point.curve == "evidence" and point.params["item_id"] in items:
            key = (point.params["item_id"], point.params["field"], point.params["value"])
            maps.setdefault(key, {})[int(point.x)] = point.y
    found = []
    for (item_id, name, value), cells in sorted(maps.items()):
        side = round(len(cells) ** 0.5)
        grid = np.array([cells[index] for index in sorted(cells)]).reshape(side, side)
        found.append(_Read(items[item_id], name, value, grid))
    return found


def _picture(read: _Read, root: Path) -> Image.Image:
    from fvrec.vlm.overlay import overlay

    try:
        photo = read_image(root / read.item.image_path, at_least=224)
    except ImageError:  # the photo is gone: the map alone is still what the rows say
        photo = Image.new("RGB", (224, 224), "white")
    return overlay(photo, read.map)


def _png(figure: Figure) -> bytes:
    file = BytesIO()
    # Without the version of the plotting library in it the file is a function of the rows alone.
    figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": None})
    return file.getvalue()
