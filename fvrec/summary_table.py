"""The one table that a run ends with, from metric rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fvrec.records import Metric
from fvrec.report_tables import ABSENT, plain

LIST_LENGTH = 10
_MODELS = {"base": "E0 base", "sft": "E1 sft", "lora": "E2 lora"}
_EXTRACTION = ("json_valid_rate", "schema_pass_rate", "micro_f1")
_RERANK = ("constraint_satisfaction", "explanation_faithfulness")
_RL = ("ndcg", "ild", "coverage")


@dataclass(frozen=True)
class SummaryRow:
    """One line: what was compared, under which name, and its metrics (name -> text)."""

    part: str
    subject: str
    values: dict[str, str]


def summary(metrics: Iterable[Metric]) -> list[SummaryRow]:
    """E0/E1/E2 on the test split (each input variant; raw, then constrained), base against rerank, Base/MMR/RL at 10.

    A number that no run has written yet is shown as absent; a part without any is left out. Intervals stand in the
    reports.
    """
    rows = [row for row in metrics if not row.slice and not row.field]
    return [*_extraction(rows), *_lists(rows, "rerank", _RERANK, ("base_rank", "rerank")), *_rl(rows)]


def _extraction(rows: Sequence[Metric]) -> list[SummaryRow]:
    chosen = [row for row in rows if row.stage == "extraction" and row.split == "test"]
    variants = sorted({(row.mode, row.inputs) for row in chosen}, key=lambda one: (one[0] != "raw", one[1]))
    return [
        SummaryRow("extraction" if mode == "raw" else f"extraction, {mode}", f"{name}, {inputs}", values)
        for mode, inputs in variants
        for model, name in _MODELS.items()
        if (values := _values([row for row in chosen if _is(row, model, inputs, mode)], _EXTRACTION))
    ]


def _is(row: Metric, model: str, inputs: str, mode: str) -> bool:
    return (row.model, row.inputs, row.mode) == (model, inputs, mode)


def _rl(rows: Sequence[Metric]) -> list[SummaryRow]:
    return _lists(rows, "rl", _RL, ("base_rank", "mmr", "rl"))


def _lists(rows: Sequence[Metric], stage: str, names: Sequence[str], strategies: Sequence[str]) -> list[SummaryRow]:
    chosen = [row for row in rows if row.stage == stage and row.k == LIST_LENGTH]
    return [
        SummaryRow(stage, strategy, {f"{name}@{LIST_LENGTH}": text for name, text in values.items()})
        for strategy in strategies
        if (values := _values([row for row in chosen if row.strategy == strategy], names))
    ]


def _values(rows: Sequence[Metric], names: Sequence[str]) -> dict[str, str]:
    found = {row.metric: plain(row.value) for row in rows if row.metric in names}
    return {name: found.get(name, ABSENT) for name in names} if found else {}
