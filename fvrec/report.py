"""Warehouse rows -> the reports. No number is worked out here that is not a row already.

Every function is pure: the same records give the same text, byte for byte, so that ``reports/`` can be deleted and
made again at any time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fvrec.records import Confusion, CurvePoint, Item, Metric, Prediction, Quarantined, Ranking, Run
from fvrec.report_cases import WorkedList, answer_record, failures, spread, worked_lists
from fvrec.report_confidence import CONFIDENCE_METRICS, confidence_tables
from fvrec.report_plots import profile_plots
from fvrec.report_rerank import rerank_parts
from fvrec.report_rl import own_setting, verdicts
from fvrec.report_tables import Table, choose, environment, pivot
from fvrec.schema import FIELDS

FAILURE_CASES = 60
COMPARED_CASES = 10
WORKED_CASES = 20
CONFUSIONS_SHOWN = 20
DIFFERENCE = "_difference"
"""Suffix of paired differences between two strategies or models."""
HOLM = "_p_holm"
"""Suffix of the p-values of such differences, corrected for their number."""
EXTRACTION_MODELS = ("base", "sft", "lora")


@dataclass(frozen=True)
class ReportData:
    """All that the reports are made of, as the warehouse holds it for one source and preset.

    runs: the newest complete one of each stage. commands: stage -> the command that repeats it. items: by item_id.
    metrics, confusions, curves, rankings: those runs' rows. predictions: model -> its rows.
    """

    source: str
    preset: str
    runs: Sequence[Run]
    commands: Mapping[str, str]
    items: Mapping[str, Item]
    quarantine: Sequence[Quarantined]
    metrics: Sequence[Metric]
    predictions: Mapping[str, Sequence[Prediction]]
    confusions: Sequence[Confusion]
    curves: Sequence[CurvePoint]
    rankings: Mapping[str, Sequence[Ranking]]
    """stage -> its lists"""

    def of_stage(self, *stages: str) -> list[Metric]:
        """The metrics of these stages, in a fixed order."""
        return [row for row in self.metrics if row.stage in stages]

    def supervised(self) -> frozenset[str]:
        """The fields that the source labels, as ingest recorded them."""
        return frozenset(row.field for row in choose(self.of_stage("ingest"), "supervised") if row.value == 1.0)


def render_all(data: ReportData) -> dict[str, str]:
    """File name in ``reports/`` -> text, for every report."""
    markdown: dict[str, Callable[[ReportData], str]] = {
        "data_profile.md": data_profile,
        "extraction_compare.md": extraction_compare,
        "extraction_cases_base.md": extraction_cases,
        "rerank_report.md": rerank_report,
        "rl_report.md": rl_report,
        "README_run.md": run_readme,
    }
    lines = {f"extraction_{model}.json": extraction_lines(data, model) for model in EXTRACTION_MODELS}
    return {name: make(data) for name, make in markdown.items()} | lines


def draw_all(data: ReportData) -> dict[str, bytes]:
    """File name in ``reports/`` -> PNG, for every picture that a report shows."""
    return profile_plots(data.metrics)


def data_profile(data: ReportData) -> str:
    """Accounting, splits, unknown shares, value distributions, and what was rejected and why."""
    rows = data.of_stage("ingest")
    shares = {name: [row for row in choose(rows, "value_share") if row.field == name] for name in FIELDS}
    return _render(
        "data_profile.md.j2",
        data=data,
        totals=pivot(
            [row for row in rows if not row.field and not row.split], row=("metric", "slice"), column="source"
        ),
        splits=pivot([row for row in rows if row.split and not row.field], row="split", column="metric"),
        fields=pivot(
            choose(rows, "supervised", "unknown_share", "rule_share", "other_share"), row="field", column="metric"
        ),
        shares=shares,
        counts={(row.field, row.slice): row.value for row in choose(rows, "value_count")},
        rejected=sorted(data.quarantine, key=lambda one: (one.reason, one.path))[:WORKED_CASES],
    )


def extraction_lines(data: ReportData, model: str) -> str:
    """One JSON object a line: what the model wrote for one item under one variant, the judgement, the labels."""
    ordered = sorted(data.predictions.get(model, ()), key=lambda row: (row.mode, row.inputs, row.item_id))
    return "".join(json.dumps(answer_record(row, data.items), ensure_ascii=False) + "\n" for row in ordered)


def extraction_compare(data: ReportData) -> str:
    """E0, E1 and E2 side by side: rates, F1 with intervals, per field, confidence, failures."""
    rows = data.of_stage("extraction")
    plain = [row for row in rows if row.metric not in CONFIDENCE_METRICS]
    per_field = [row for row in plain if row.field and not row.slice and not row.metric.endswith(DIFFERENCE)]
    fields = data.supervised()
    cases = {model: failures(found, data.items, fields) for model, found in data.predictions.items()}
    return _render(
        "extraction_compare.md.j2",
        data=data,
        overall=_by_variant([row for row in plain if not row.field and not row.slice], ("metric",)),
        fields=_by_variant(per_field, ("field", "metric")),
        sliced=_by_variant([row for row in plain if row.slice], ("metric", "field", "slice")),
        modes=pivot(choose(rows, "accuracy_difference"), row=("inputs", "field"), column="model"),
        confidence=confidence_tables([row for row in rows if row.split == "test" or row.metric == "temperature"]),
        training=pivot(training_rows(data), row="metric", column="stage"),
        confusions=_worst(data.confusions),
        cases={model: spread(found, COMPARED_CASES) for model, found in cases.items()},
    )


def training_rows(data: ReportData) -> list[Metric]:
    """What the training stages say of themselves; what the tower says of single fields is left out."""
    return [row for row in data.of_stage("tower", "features", "pretrain", "sft", "lora") if not row.field]


def extraction_cases(data: ReportData, model: str = "base") -> str:
    """Answers of a model that are wrong, the kinds taking turns, with the photo's place and what the model wrote."""
    found = failures(data.predictions.get(model, ()), data.items, data.supervised())
    rows = [row for row in choose(data.of_stage("extraction"), "failures") if row.model == model]
    return _render(
        "extraction_cases.md.j2",
        data=data,
        model=model,
        counts=_by_variant(rows, ("slice",)),
        cases=spread(found, FAILURE_CASES),
    )


def rerank_report(data: ReportData) -> str:
    """Base, rerank and the two bounds, whole and by slice, the choice of weights, worked lists with their reasons."""
    return _render("rerank_report.md.j2", data=data, **rerank_parts(data.of_stage("rerank")), cases=_worked(data))


def _worked(data: ReportData) -> list[WorkedList]:
    """A list each for the first requests: the ones that the rerank made, where there are such."""
    lists = worked_lists(data.rankings.get("rerank", ()), data.items)
    return [one for one in lists if one.strategy != "base_rank"][:WORKED_CASES]


def rl_report(data: ReportData) -> str:
    """Base, MMR, greedy, RL and random order: metrics with intervals, paired differences, the trade-off."""
    of_stage = data.of_stage("rl")
    rows = [row for row in of_stage if not row.mode]
    feed = [row for row in of_stage if row.mode == "feed"]
    paired = [row for row in rows if row.metric.endswith((DIFFERENCE, HOLM))]
    over_start = [row for row in choose(paired, "true_reward_difference") if row.params.get("against") == "greedy"]
    levels = [row for row in rows if not row.metric.endswith((DIFFERENCE, HOLM))]
    return _render(
        "rl_report.md.j2",
        data=data,
        table=pivot([row for row in levels if not row.slice], row="metric", column="strategy"),
        sliced=pivot([row for row in levels if row.slice], row=("metric", "slice"), column="strategy"),
        paired=pivot(paired, row=("strategy", "metric"), column="params"),
        over_start=over_start,
        feed=pivot([row for row in feed if not row.metric.endswith(DIFFERENCE)], row="metric", column="strategy"),
        own=own_setting(rows),
        verdict=verdicts(rows),
        feed_verdict=verdicts(feed),
        feed_gains=[row for row in feed if row.metric.endswith(DIFFERENCE)],
        curves=_curves(data.curves, "rl"),
    )


def run_readme(data: ReportData) -> str:
    """What ran, when, with which configuration, and the command that repeats it."""
    return _render("README_run.md.j2", data=data)


def _render(template: str, **values: Any) -> str:
    return environment().get_template(template).render(**values)


def _by_variant(rows: Sequence[Metric], names: tuple[str, ...]) -> dict[str, Table]:
    """``split, mode, inputs`` -> table of that variant with a column per model."""
    variants: dict[str, list[Metric]] = {}
    for row in sorted(rows, key=lambda one: (one.split, one.mode, one.inputs)):
        variant = ", ".join(part for part in (row.split, row.mode, row.inputs) if part)
        variants.setdefault(variant, []).append(row)
    return {variant: pivot(found, row=names, column="model") for variant, found in variants.items()}


def _worst(confusions: Iterable[Confusion]) -> list[Confusion]:
    wrong = (row for row in confusions if row.true_value != row.predicted_value)
    ordered = sorted(wrong, key=lambda row: (-row.n, row.model, row.mode, row.inputs, row.field, row.true_value))
    return ordered[:CONFUSIONS_SHOWN]


def _curves(points: Iterable[CurvePoint], stage: str) -> dict[str, list[CurvePoint]]:
    curves: dict[str, list[CurvePoint]] = {}
    for point in sorted(points, key=lambda one: (one.curve, one.x, one.y)):
        if point.stage == stage:
            curves.setdefault(point.curve, []).append(point)
    return curves
