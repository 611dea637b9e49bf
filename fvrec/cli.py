"""The ``fvrec`` command: the one module that knows all rooms, each entered inside the command that needs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from fvrec.config import DRAWN, PRESETS, SOURCES, STRATEGIES, Settings
from fvrec.errors import FvrecError
from fvrec.records import MODELS

if TYPE_CHECKING:
    from fvrec.summary_table import SummaryRow
    from tasks.stage import StageResult

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, help="From product photos to lists that explain themselves."
)
source_app = typer.Typer(no_args_is_help=True, help="Look at a source before it is ingested.")
app.add_typer(source_app, name="source")
out, err = Console(), Console(stderr=True)

SourceOption = Annotated[str | None, typer.Option("--source", help=f"Where products come from: {', '.join(SOURCES)}.")]
RawOption = Annotated[Path | None, typer.Option("--raw", help="Folder of the source's files [data/raw/SOURCE].")]
RootOption = Annotated[Path | None, typer.Option("--root", help="Folder for everything that is made [.].")]
PresetOption = Annotated[str | None, typer.Option("--preset", help=f"Sizes and budgets: {', '.join(PRESETS)}.")]
SeedOption = Annotated[int | None, typer.Option("--seed", min=0, help="One seed for every generator.")]
LimitOption = Annotated[int | None, typer.Option("--limit", help="Take a seeded sample of so many rows.")]


def settings_from(**given: Any) -> Settings:
    """Options that were given, over the environment's, over the defaults."""
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    _ = settings.budget
    return settings


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


def _flow_command(name: str, module: str, flow: str, help_text: str) -> Callable[..., None]:
    @app.command(name, help=help_text)
    def run(
        source: SourceOption = None,
        raw: RawOption = None,
        root: RootOption = None,
        preset: PresetOption = None,
        seed: SeedOption = None,
        limit: LimitOption = None,
    ) -> None:
        settings = settings_from(source=source, raw=raw, root=root, preset=preset, seed=seed, limit=limit)
        results, seconds = run_flow(module, flow, settings)
        if flow in ("pipeline", "reports"):
            show_summary(settings)
        show_stages(results, seconds)
        if flow == "pipeline":
            out.print(f"Demo page: [bold]{_demo_command(settings)}[/bold]", soft_wrap=True)

    return run


_flow_command(
    "run", "flows.pipeline", "pipeline", "The whole loop: ingest, train, extract, rerank, RL, reports, publish."
)
_flow_command("ingest", "flows.ingest", "ingest", "Read a source's rows and photos into the warehouse.")
_flow_command("sft", "flows.sft", "sft", "Make SFT data; train base (E0), sft (E1) and lora (E2).")
_flow_command("extract", "flows.extraction", "extraction", "Extract attributes with every model, and score them.")
_flow_command("rerank", "flows.rerank", "rerank", "Judge constraint rerank against base order.")
_flow_command("rl", "flows.rl", "rl", "Train the list policy and compare it with Base and MMR.")
_flow_command("report", "flows.reports", "reports", "Make every report again from the warehouse alone.")
_flow_command("publish", "flows.reports", "publish", "Publish a snapshot of the warehouse for pages and SQL clients.")


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


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT.")],
    root: RootOption = None,
    max_rows: Annotated[int, typer.Option(min=1, help="Show at most so many rows.")] = 100,
) -> None:
    """Ask the published snapshot of the warehouse."""
    from warehouse.read import Warehouse

    found = Warehouse(settings_from(root=root).snapshot).query(query, max_rows=max_rows)
    table = Table(*(Column(name, overflow="fold") for name in found.columns))
    for row in found.rows:
        table.add_row(*("" if value is None else escape(str(value)) for value in row))
    out.print(table)
    if found.truncated:
        err.print(f"Only the first {max_rows} rows are shown (--max-rows).")


@app.command()
def results(
    source: SourceOption = None,
    root: RootOption = None,
    preset: PresetOption = None,
    output: Annotated[Path, typer.Option("--out", help="Folder for the page and the rows.")] = Path("docs/results"),
) -> None:
    """Write a run's numbers as a page and as JSON rows, to be kept under version control. No photos."""
    from fvrec.artifacts import atomic_write
    from fvrec.report_results import results_page, results_rows
    from tasks.report import collect

    settings = settings_from(source=source, root=root, preset=preset)
    data = collect(settings)
    stem = output / f"{settings.source}-{settings.preset}"
    for path, text in ((stem.with_suffix(".md"), results_page(data)), (stem.with_suffix(".json"), results_rows(data))):
        atomic_write(path, text)
        out.print(path, soft_wrap=True, highlight=False)


@app.command()
def ask(
    text: Annotated[str, typer.Argument(help="What you want, in English or Chinese.")],
    source: SourceOption = None,
    root: RootOption = None,
    model: Annotated[str, typer.Option(help=f"Whose reading: {', '.join(MODELS)}.")] = "lora",
    strategy: Annotated[str, typer.Option(help=f"How the list is ranked: {', '.join(STRATEGIES)}.")] = "base_rank",
    k: Annotated[int, typer.Option(min=1, help="Length of the list.")] = 10,
) -> None:
    """Ask for products in words; every item of the answer says why it is there."""
    from app.service import DemoService, Query

    settings = settings_from(source=source, root=root)
    listing = DemoService.open(settings).ask(Query(settings.source, text, model, strategy, k))
    table = Table(*(Column(name, overflow="fold") for name in ("#", "item", "title", "score", "reason")))
    for ranked in listing.answer.ranked:
        cells = (ranked.item.item_id, ranked.item.title, f"{ranked.score:.2f}", ranked.explanation)
        table.add_row(str(ranked.position), *(escape(cell) for cell in cells))
    out.print(table)
    for note in listing.answer.notes:
        err.print(note.text, markup=False)


@source_app.command()
def preview(
    source: SourceOption = None,
    raw: RawOption = None,
    root: RootOption = None,
    preset: PresetOption = None,
    seed: SeedOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many products to show.")] = 64,
    output: Annotated[Path | None, typer.Option("--out", help="The picture [reports/preview_SOURCE.png].")] = None,
) -> None:
    """Write a contact sheet: products with the values that the source claims for them."""
    from contextlib import ExitStack
    from itertools import islice
    from tempfile import TemporaryDirectory

    from fvrec.sources.preview import contact_sheet
    from tasks.source import source_of

    settings = settings_from(source=source, raw=raw, root=root, preset=preset, seed=seed)
    path = output or settings.reports / f"preview_{settings.source}.png"
    with ExitStack() as held:
        if settings.source == DRAWN:
            # Drawn apart: another seed or size must not replace the photos that a run was made from.
            apart = Path(held.enter_context(TemporaryDirectory(prefix="fvrec-preview-")))
            settings = settings.model_copy(update={"raw": apart, "limit": limit})
        connector = source_of(settings)
        connector.discover()
        shown = contact_sheet(islice(connector.rows(), limit), path)
    out.print(f"{shown} products: {path}", soft_wrap=True, highlight=False)


@app.command()
def demo(root: RootOption = None, port: Annotated[int, typer.Option(min=1, max=65535)] = 8501) -> None:
    """Open the demo page on the published snapshot."""
    settings = settings_from(root=root)
    if not settings.snapshot.exists():
        raise FvrecError("there is nothing to show yet", where=settings.snapshot, allowed="`fvrec run` makes it")
    page = Path(__file__).resolve().parents[1] / "app" / "Home.py"
    options = ["--server.port", str(port), "--server.address", "127.0.0.1", "--browser.gatherUsageStats", "false"]
    options += ["--server.showEmailPrompt", "false", "--client.toolbarMode", "minimal"]
    command = [sys.executable, "-m", "streamlit", "run", str(page), *options]
    environment = {**os.environ, "FVREC_ROOT": str(settings.root)}
    raise typer.Exit(subprocess.call(command, env=environment))  # noqa: S603 - our own interpreter and fixed words


@app.command()
def serve(
    source: SourceOption = None,
    root: RootOption = None,
    preset: PresetOption = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Prefect's API and UI.")] = 4200,
) -> None:
    """Start a Prefect server with its UI and serve a deployment of every flow."""
    settings = settings_from(source=source, root=root, preset=preset)
    os.environ["FVREC_ROOT"] = str(settings.root)
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO")
    os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "WARNING")
    from flows.serve import serve_flows

    serve_flows(settings, port=port)


def main() -> None:
    """Entry point. A mistake of the user's is one sentence on stderr and exit code 2."""
    try:
        app()
    except FvrecError as error:
        err.print(f"[bold red]error[/bold red]: {escape(str(error))}", soft_wrap=True, highlight=False)
        sys.exit(2)
    except KeyboardInterrupt:
        err.print("interrupted")
        sys.exit(130)


if __name__ == "__main__":
    main()
