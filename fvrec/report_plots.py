"""Plots of the reports, drawn from metric rows alone: the same rows give the same picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fvrec.records import Metric
from fvrec.report_tables import choose
from fvrec.schema import FIELDS

_BLUE, _RED = "#3b6ea5", "#b5534b"
_VALUES_SHOWN = 12


def profile_plots(metrics: Sequence[Metric]) -> dict[str, bytes]:
    """File name -> PNG: accounting with splits and group sizes, then the values of every field.

    metrics: the rows of one ingest. No picture for rows that are not there.
    """
    rows = [row for row in metrics if row.stage == "ingest"]
    made: Mapping[str, Callable[[Sequence[Metric]], Figure]] = {
        "data_profile_rows.png": _overview,
        "data_profile_fields.png": _fields,
    }
    return {name: _png(draw(rows)) for name, draw in made.items() if rows}


def _overview(rows: Sequence[Metric]) -> Figure:
    figure = Figure(figsize=(12, 6.5), layout="constrained")
    axes = figure.subplots(2, 2)
    accounting = {"items": _value(rows, "items")}
    accounting |= {row.slice: row.value for row in choose(rows, "quarantined") if row.slice}
    _bars(axes[0][0], "rows in, by what became of them", accounting)
    _bars(axes[0][1], "items by split", {row.split: row.value for row in choose(rows, "items") if row.split})
    sizes = {row.slice.removeprefix("size "): row.value for row in choose(rows, "groups") if row.slice}
    _bars(axes[1][0], "groups by number of items", sizes)
    copies = {"exact copies": _value(rows, "duplicate_images"), "near-copies": _value(rows, "near_copies")}
    copies |= {row.slice: row.value for row in choose(rows, "changes")} | {"vanished": _value(rows, "vanished")}
    _bars(axes[1][1], "copies, and changes since the last ingest", copies)
    return figure


def _fields(rows: Sequence[Metric]) -> Figure:
    figure = Figure(figsize=(15, 9), layout="constrained")
    for axes, field in zip(figure.subplots(2, 5).flat, FIELDS, strict=True):
        values = {row.slice: row.value for row in choose(rows, "value_share") if row.field == field}
        shown = dict(sorted(values.items(), key=lambda one: -one[1])[:_VALUES_SHOWN])
        _bars(axes, field, shown, marked=("unknown", "other"))
        axes.set_xlabel("share of items")
    return figure


def _bars(axes: Axes, title: str, values: Mapping[str, float], marked: Sequence[str] = ()) -> None:
    names = list(values)[::-1]
    bars = axes.barh(names, [values[name] for name in names], color=[_RED if one in marked else _BLUE for one in names])
    axes.bar_label(bars, fmt=lambda value: f"{value:,.0f}" if value >= 2 or value == 0 else f"{value:.3g}", padding=3)
    axes.set_title(title, fontsize=11)
    axes.margins(x=0.18)
    axes.spines[["top", "right"]].set_visible(False)


def _value(rows: Sequence[Metric], name: str) -> float:
    return next((row.value for row in choose(rows, name) if not (row.slice or row.split or row.field)), 0.0)


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
