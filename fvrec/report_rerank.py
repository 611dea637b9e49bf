"""The tables of the rerank report, from its metric rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fvrec.records import Metric
from fvrec.report_tables import Table, choose, pivot
from fvrec.rerank.summary import ATTAINABLE, TUNING

_PARTS: dict[str, Callable[[str], bool]] = {
    "By number of constraints": lambda name: name.startswith("constraints=") and not name.startswith(ATTAINABLE),
    "By language": lambda name: name.startswith("language="),
    "By draw of candidates": lambda name: name.startswith("candidates="),
}
"""Title of a section -> which slices it shows."""


def rerank_parts(rows: Sequence[Metric]) -> dict[str, object]:
    """Name in the template -> table (or rows), of all rows of stage ``rerank``: whole, attainable, paired, by slice."""
    grid = [row for row in rows if row.slice == TUNING]
    levels = [row for row in rows if row.slice != TUNING and not row.metric.endswith("_difference")]
    paired = [row for row in rows if row.slice != TUNING and row.metric.endswith("_difference")]
    chosen = choose(grid, f"{TUNING}_chosen")
    return {
        "table": pivot([row for row in levels if not row.slice], row="metric", column="strategy"),
        "attainable": _by_slice([row for row in levels if row.slice.startswith(ATTAINABLE)]),
        "paired": pivot(paired, row="slice", column="metric") if paired else None,
        "parts": {title: _by_slice([row for row in levels if belongs(row.slice)]) for title, belongs in _PARTS.items()},
        "grid": pivot([row for row in grid if row not in chosen], row="params", column="metric"),
        "chosen": chosen,
    }


def _by_slice(rows: Sequence[Metric]) -> Table:
    return pivot(rows, row=("slice", "metric"), column="strategy")
