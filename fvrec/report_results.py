"""The numbers of one run to keep under version control: a page for people and every metric row as JSON. No photos."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict

from fvrec.config import DRAWN, get_preset
from fvrec.records import Metric
from fvrec.report import DIFFERENCE, HOLM, ReportData, training_rows
from fvrec.report_confidence import CONFIDENCE_METRICS, confidence_tables
from fvrec.report_tables import Table, choose, environment, pivot

_LISTS_AT = 10


def results_page(data: ReportData) -> str:
    """Markdown: commands, splits, extraction by model and input variant, per field, rerank, list policy."""
    tested = [row for row in data.of_stage("extraction") if row.split == "test"]
    extraction = [row for row in tested if not row.slice and row.metric not in CONFIDENCE_METRICS]
    variants = sorted({(row.mode, row.inputs) for row in extraction})
    policy = data.of_stage("rl")
    lists, feed = [row for row in policy if not row.mode], [row for row in policy if row.mode == "feed"]
    return (
        environment()
        .get_template("results.md.j2")
        .render(
            data=data,
            command=_command(data),
            profile=pivot(_profile(data), row=("metric", "split"), column="source"),
            overall=pivot(
                [row for row in extraction if not row.field], row=("mode", "inputs", "metric"), column="model"
            ),
            fields={
                f"{mode}, {inputs}": pivot(
                    [row for row in extraction if row.field and (row.mode, row.inputs) == (mode, inputs)],
                    row=("field", "metric"),
                    column="model",
                )
                for mode, inputs in variants
            },
            confidence=confidence_tables([*tested, *choose(data.of_stage("extraction"), "temperature")]),
            training=pivot(training_rows(data), row="metric", column="stage"),
            rerank=_levels(data.of_stage("rerank")),
            rerank_paired=_paired(data.of_stage("rerank")),
            lists=_levels(lists),
            lists_paired=_paired(lists),
            feed=_levels(feed),
            feed_paired=_paired(feed),
        )
    )


def results_rows(data: ReportData) -> str:
    """Every metric row of the run's stages, one JSON object a line of one JSON list; value distributions left out."""
    return rows_as_json([row for row in data.metrics if row.metric not in ("value_count", "value_share")])


def rows_as_json(metrics: Sequence[Metric]) -> str:
    """One JSON list, an object a row; what is not a number (no item to measure) is null."""
    rows = [asdict(row) for row in metrics]
    for row in rows:
        row.update({name: None for name in ("value", "ci_low", "ci_high") if _is_nan(row[name])})
    return "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False, default=str) for row in rows) + "\n]\n"


def _is_nan(value: float | None) -> bool:
    return value is not None and math.isnan(value)


def _command(data: ReportData) -> str:
    """The command that repeats the run in any clone: folders as the documentation has them, not as they lie here."""
    config = next(run.config for run in data.runs if run.stage == "ingest")
    options = {"source": data.source, "preset": data.preset, "seed": config.get("seed"), "limit": config.get("limit")}
    if data.source != DRAWN:
        options["raw"] = f"data/raw/{data.source}"
    given = (f"--{name} {value}" for name, value in options.items() if value is not None)
    preset = get_preset(data.preset)
    pool = next((run.config.get("pool") for run in data.runs if run.stage == "features"), None)
    tuned = any(run.stage == "tower" for run in data.runs)
    variables = [f"FVREC_POOL={pool}"] if pool not in (None, preset.pool) else []
    if tuned != (preset.tuning is not None):
        variables.append(f"FVREC_TUNE_TOWER={int(tuned)}")
    return " ".join([*variables, "fvrec run", *given])


def _profile(data: ReportData) -> list[Metric]:
    wanted = ("rows_in", "items", "quarantined", "readable_share", "duplicate_images", "groups")
    return [row for row in choose(data.of_stage("ingest"), *wanted) if not row.field and not row.slice]


def _levels(rows: Sequence[Metric]) -> Table:
    levels = [row for row in rows if not row.metric.endswith((DIFFERENCE, HOLM))]
    return pivot(_whole(levels), row="metric", column="strategy")


def _paired(rows: Sequence[Metric]) -> Table:
    paired = [row for row in rows if row.metric.endswith((DIFFERENCE, HOLM))]
    return pivot(_whole(paired), row=("strategy", "params"), column="metric")


def _whole(rows: Sequence[Metric]) -> list[Metric]:
    return [row for row in rows if not row.slice and row.k in (-1, _LISTS_AT)]
