"""Commands that ask the warehouse: SQL, and the numbers of a run as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from fvrec.cli.common import PresetOption, RootOption, SourceOption, err, out, settings_from


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    for command in (sql, results):
        app.command()(command)


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
