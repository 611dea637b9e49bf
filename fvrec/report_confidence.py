"""Confidence in the reports: one table a model and input variant, a line a field."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fvrec.records import Metric
from fvrec.report_tables import ABSENT, Table, number, plain
from fvrec.schema import FIELDS

CONFIDENCE_METRICS = frozenset(
    {"ece", "ece_plugin", "ece_perfect", "ece_accepted", "brier", "accuracy_at_coverage"}
    | {"temperature", "threshold", "nll_before", "nll_after"}
)
"""Rows that stand in these tables and in no others."""
_HEADER = (
    *("field", "claims", "T", "ECE written", "ECE computed", "ECE scaled", "perfect ≤", "accepted"),
    *("Brier written", "Brier scaled", "accuracy at 80 %", "accuracy at 90 %"),
)


@dataclass(frozen=True)
class _Cells:
    """The rows of one model and input variant, looked up by metric, field, kind of confidence and slice."""

    rows: Sequence[Metric]

    def find(self, metric: str, field: str, kind: str = "", slice_: str = "") -> Metric | None:
        for row in self.rows:
            named = (row.metric, row.field, row.params.get("confidence", ""), row.slice)
            if named == (metric, field, kind, slice_):
                return row
        return None

    def text(self, metric: str, field: str, kind: str = "", slice_: str = "") -> str:
        found = self.find(metric, field, kind, slice_)
        return ABSENT if found is None else number(found)


def confidence_tables(metrics: Iterable[Metric]) -> dict[str, Table]:
    """``model, inputs`` -> its table. ``written``: what plain generation wrote; ``scaled``: with the temperature T.

    The written confidence belongs to mode ``raw``, the others to mode ``constrained``: each is judged on its own
    answers.
    """
    groups: dict[tuple[str, str], list[Metric]] = {}
    for row in metrics:
        if row.metric in CONFIDENCE_METRICS:
            groups.setdefault((row.model, row.inputs), []).append(row)
    tables = {
        f"{model}, {inputs}": _table(_Cells(rows))
        for (model, inputs), rows in sorted(groups.items())
        if any(row.metric == "ece" for row in rows)
    }
    return {name: table for name, table in tables.items() if table}


def _table(cells: _Cells) -> Table:
    present = {row.field for row in cells.rows if row.metric == "ece"}
    names = [name for name in (*FIELDS, "") if name in present]
    return Table(_HEADER, [_line(cells, name) for name in names])


def _line(cells: _Cells, name: str) -> list[str]:
    kind = "scaled" if cells.find("ece", name, "scaled") else "computed"
    if cells.find("ece", name, kind) is None:
        kind = "verbalised"
    claims, band = cells.find("ece", name, kind), cells.find("ece_perfect", name, kind)
    accepted = cells.find("ece_accepted", name, kind)
    return [
        name or "(all)",
        ABSENT if claims is None else str(claims.n),
        _fitted(cells, name),
        *(cells.text("ece", name, one) for one in ("verbalised", "computed", "scaled")),
        ABSENT if band is None or band.ci_high is None else plain(band.ci_high),
        ABSENT if accepted is None else ("yes" if accepted.value == 1.0 else "no"),
        cells.text("brier", name, "verbalised"),
        cells.text("brier", name, kind),
        *(cells.text("accuracy_at_coverage", name, kind, f"coverage={share}") for share in (0.8, 0.9)),
    ]


def _fitted(cells: _Cells, name: str) -> str:
    """The temperature, and the form of its correction where there is one."""
    row = cells.find("temperature", name)
    form = "temperature" if row is None else row.params.get("correction", "temperature")
    return cells.text("temperature", name) + ("" if form == "temperature" else f", {form}")
