"""Commands that run flows: the whole loop and each of its parts."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import typer
from rich.markup import escape
from rich.table import Column, Table

from fvrec.cli.common import (
    LimitOption,
    PresetOption,
    RawOption,
    RootOption,
    RunnerOption,
    SeedOption,
    SourceOption,
    WeightsOption,
    out,
    settings_from,
)
from fvrec.config import Settings

if TYPE_CHECKING:
    from fvrec.summary_table import SummaryRow
    from tasks.stage import StageResult

FLOW_COMMANDS = {
    "run": ("flows.pipeline", "pipeline", "The whole loop: ingest, train, extract, rerank, RL, reports, publish."),
    "ingest": ("flows.ingest", "ingest", "Read a source's rows and photos into the warehouse."),
    "sft-data": ("flows.sft", "sft_samples", "Make the SFT samples of an ingested source; train nothing."),
    "sft": ("flows.sft", "sft", "Make SFT data; train base (E0), sft (E1) and lora (E2)."),
    "rerank": ("flows.rerank", "rerank", "Judge constraint rerank against base order."),
    "rl": ("flows.rl", "rl", "Train the list policy and compare it with Base and MMR."),
    "report": ("flows.reports", "reports", "Make every report again from the warehouse alone."),
    "publish": ("flows.reports", "publish", "Publish a snapshot of the warehouse for pages and SQL clients."),
}
"""command -> module of its flow, the flow's name, and the help."""


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    for name, (module, flow, help_text) in FLOW_COMMANDS.items():
        app.command(name, help=help_text)(_flow_command(module, flow))


def run_flow(module: str, name: str, settings: Settings) -> tuple[list[StageResult], float]:
    """Check the settings, then start Prefect and run one flow. Nothing is written when the check fails."""
    from importlib import import_module

    from tasks.check import check_settings

    check_settings(settings)
    started = perf_counter()
    # Prefect reads its home from the environment when it is first imported, which the flows do.
    os.environ["FVREC_ROOT"] = str(settings.root)
    flow = getattr(import_module(module), name)
    from flows.command import run_in_home

    return run_in_home(flow, settings), perf_counter() - started


def _flow_command(module: str, flow: str) -> Callable[..., None]:
    def run(
        source: SourceOption = None,
        raw: RawOption = None,
        root: RootOption = None,
        preset: PresetOption = None,
        seed: SeedOption = None,
        limit: LimitOption = None,
        weights: WeightsOption = None,
        runner: RunnerOption = None,
    ) -> None:
        given = {"source": source, "raw": raw, "root": root, "preset": preset, "seed": seed, "limit": limit}
        settings = settings_from(**given, weights=weights, runner=runner)
        results, seconds = run_flow(module, flow, settings)
        if flow in ("pipeline", "reports"):
            show_summary(settings)
        show_stages(results, seconds)
        if flow == "pipeline":
            out.print(f"Demo page: [bold]{_demo_command(settings)}[/bold]", soft_wrap=True)

    return run


def show_stages(results: Sequence[StageResult], seconds: float) -> None:
    """Which stages ran and which were reused, with their seconds."""
    table = Table("stage", "", "seconds", title=f"Stages ({seconds:.0f} s in all)", title_justify="left")
    table.columns[2].justify = "right"
    for result in results:
        table.add_row(result.stage, "reused" if result.reused else "ran", f"{result.seconds:.1f}")
    out.print(table)


def show_summary(settings: Settings) -> None:
    """The run's table from the warehouse's metrics, and where the reports are."""
    from fvrec.summary_table import summary
    from tasks.report import collected_runs
    from warehouse.read import Warehouse

    warehouse = Warehouse(settings.database)
    metrics = [row for run in collected_runs(settings).values() for row in warehouse.metrics(run_id=run.run_id)]
    out.print(_as_table(summary(metrics), settings))
    tokens = [f"{row.stage} {row.value:.1f}" for row in metrics if row.metric == "tokens_per_sample"]
    if tokens:
        out.print(f"Text tokens per training sample: {', '.join(tokens)}", highlight=False)
    for path in sorted(settings.reports.glob("[!.]*")):
        out.print(f"  {path}", soft_wrap=True, highlight=False)


def _as_table(rows: Sequence[SummaryRow], settings: Settings) -> Table:
    """A section for each part of the loop: its metrics' names, then a line for each model or strategy."""
    width = max((len(row.values) for row in rows), default=0)
    title = f"{settings.source}, preset {settings.preset} (test split; intervals are in the reports)"
    columns = [Column(overflow="fold") for _ in range(width + 1)]
    table = Table(*columns, title=title, title_justify="left", show_header=False)
    for part, group in groupby(rows, key=lambda row: row.part):
        lines = list(group)
        table.add_row(f"[bold]{part}", *(f"[bold]{name}" for name in lines[0].values))
        for row in lines:
            table.add_row(row.subject, *map(escape, row.values.values()), end_section=row is lines[-1])
    return table


def _demo_command(settings: Settings) -> str:
    return "fvrec demo" if settings.root == Path() else f"fvrec demo --root {settings.root}"
