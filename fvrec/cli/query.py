"""Commands that ask the warehouse: SQL, and the numbers of a run as a page."""

from __future__ import annotations

import io
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from fvrec.cli.common import PresetOption, RootOption, SourceOption, err, out, settings_from
from fvrec.errors import FvrecError

if TYPE_CHECKING:
    import pyarrow as pa


class Format(StrEnum):
    """What ``fvrec sql`` writes."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    for command in (sql, results):
        app.command()(command)


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT.")],
    root: RootOption = None,
    max_rows: Annotated[
        int | None, typer.Option(min=1, help="At most so many rows [100 in a table, else 1,000,000].")
    ] = None,
    kind: Annotated[Format, typer.Option("--format", help="How the rows are written.")] = Format.table,
    output: Annotated[Path | None, typer.Option("--out", help="File for the rows; left out: standard output.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds after which the query is stopped.")] = 60.0,
) -> None:
    """Ask the published snapshot of the warehouse: read-only, no other files."""
    from fvrec.artifacts import atomic_write
    from warehouse.export import encode
    from warehouse.read import Warehouse

    cap = max_rows or (100 if kind is Format.table else 1_000_000)
    if kind is Format.parquet and output is None and sys.stdout.isatty():
        raise FvrecError("Parquet is no text for a terminal", where="--format", allowed="--out FILE, or a pipe")
    found, more = Warehouse(settings_from(root=root).snapshot).query_arrow(query, max_rows=cap, timeout_s=timeout)
    if kind is Format.table:
        _write_table(found, output)
    elif output is None:
        sys.stdout.buffer.write(encode(found, kind.value))
        sys.stdout.buffer.flush()
    else:
        atomic_write(output, encode(found, kind.value))
    if more:
        err.print(f"Only the first {cap} rows are shown (--max-rows).")


def _write_table(found: pa.Table, output: Path | None) -> None:
    from fvrec.artifacts import atomic_write
    from warehouse.export import columns

    table = Table(*(Column(name, overflow="fold") for name in found.column_names))
    for row in zip(*columns(found), strict=True):
        table.add_row(*("" if value is None else escape(str(value)) for value in row))
    if output is None:
        out.print(table)
        return
    page = Console(file=io.StringIO(), width=200)
    page.print(table)
    atomic_write(output, page.file.getvalue())  # type: ignore[attr-defined]


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
