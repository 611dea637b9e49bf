"""``fvrec source``: look at a source before it is ingested."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fvrec.cli.common import PresetOption, RawOption, RootOption, SeedOption, SourceOption, out, settings_from
from fvrec.config import DRAWN

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
        shown = contact_sheet(islice(connector.rows(), limit), path)
    out.print(f"{shown} products: {path}", soft_wrap=True, highlight=False)
