"""``fvrec source``: look at a source before it is ingested."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from fvrec.cli.common import PresetOption, RawOption, RootOption, SeedOption, SourceOption, err, out, settings_from
from fvrec.config import DRAWN
from fvrec.errors import FvrecError

if TYPE_CHECKING:
    from fvrec.sources.checking import SourceCheck

source_app = typer.Typer(no_args_is_help=True, help="Look at a source before it is ingested.")


def register(app: typer.Typer) -> None:
    """Add the group ``source`` to ``app``."""
    app.add_typer(source_app, name="source")


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

    from fvrec.catalog.admission import admitted_rows
    from fvrec.sources.preview import contact_sheet
    from tasks.source import source_of

    settings = settings_from(source=source, raw=raw, root=root, preset=preset, seed=seed)
    path = output or settings.reports / f"preview_{settings.source}.png"
    with ExitStack() as held:
        if settings.source == DRAWN:
            # Drawn apart: another seed or size must not replace the photos that a run was made from.
            apart = Path(held.enter_context(TemporaryDirectory(prefix="fvrec-preview-")))
            settings = settings.model_copy(update={"raw": apart})
        connector = source_of(settings.model_copy(update={"limit": limit}))  # a sample: shops sort their tables
        connector.discover()
        connector.prepare()
        shown = contact_sheet(islice(admitted_rows(connector), limit), path)
    out.print(f"{shown} products: {path}", soft_wrap=True, highlight=False)


@source_app.command()
def init(
    table: Annotated[Path, typer.Argument(help="CSV, TSV or Parquet file with one product a row.")],
    images: Annotated[Path | None, typer.Option("--images", help="Folder of the photos, below the table's.")] = None,
    output: Annotated[Path | None, typer.Option("--out", help="The mapping file [mapping.toml beside TABLE].")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a mapping file that is there.")] = False,
) -> None:
    """Draft the mapping file of source ``tabular`` from a table's own columns and values."""
    from fvrec.artifacts import atomic_write
    from fvrec.sources.drafting import draft
    from fvrec.sources.mapping import MAPPING_FILE

    path = output or table.parent / MAPPING_FILE
    if path.exists() and not force:
        raise FvrecError(
            "there is a mapping file already", where=path, allowed="--force replaces it, --out writes another"
        )
    made = draft(table, images=images)
    atomic_write(path, made.text)
    for use, column in (*made.columns.roles.items(), *made.columns.fields.items()):
        out.print(f"{use}: {column}", markup=False, highlight=False)
    out.print(
        f"{path}: {made.undecided} values wait for your decision (# ?)", markup=False, soft_wrap=True, highlight=False
    )


@source_app.command()
def check(source: SourceOption = None, raw: RawOption = None, root: RootOption = None) -> None:
    """List what is unmapped, field by field, and what bars the source from being ingested; exit code 1 on either."""
    from fvrec.sources.checking import check_source
    from tasks.progress import bar
    from tasks.source import source_of

    settings = settings_from(source=source, raw=raw, root=root)
    connector = source_of(settings)
    if settings.source == DRAWN:
        raise FvrecError("a catalogue that is drawn has nothing to check", where="--source", found=DRAWN)
    result = check_source(connector, bar("source check: read rows"))
    _show_check(result)
    if not result.passed:
        raise typer.Exit(1)


def _show_check(result: SourceCheck) -> None:
    rejected = ", ".join(f"{reason} {count}" for reason, count in sorted(result.rejected.items())) or "none"
    out.print(f"{result.rows} rows; rejected: {rejected}", highlight=False)
    out.print(f"photos: {result.pictures} files, {result.addresses} addresses to be fetched", highlight=False)
    table = Table("field", "labelled", "without a value", "unmapped values", title_justify="left")
    # A source may read one field from several tables of its vocabulary, each with a name of its own.
    for field in dict.fromkeys([*result.unknown, *result.unmapped]):
        without, unmapped = result.unknown.get(field, ""), result.unmapped.get(field, {})
        listed = ", ".join(f"{value} ({count})" for value, count in sorted(unmapped.items(), key=lambda one: -one[1]))
        table.add_row(field, "yes" if field in result.supervised else "", str(without), escape(listed))
    out.print(table)
    for sentence in result.admission:
        err.print(f"not admitted: {sentence}", markup=False)
