"""``fvrec download``: the raw files of a Kaggle catalogue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fvrec.cli.common import RawOption, RootOption, out, settings_from


def register(app: typer.Typer) -> None:
    """Add this command to ``app``."""
    app.command()(download)


def download(
    catalogue: Annotated[str, typer.Argument(help="myntra (25 GB), myntra-small (0.6 GB) or hm (35 GB).")],
    raw: RawOption = None,
    root: RootOption = None,
    archive: Annotated[Path | None, typer.Option("--archive", help="Unpack this file instead of downloading.")] = None,
) -> None:
    """Fetch a Kaggle catalogue into ``data/raw`` and write ``kaggle_manifest.json``; else say what to fetch by hand."""
    from fvrec.artifacts import atomic_write
    from fvrec.sources import kaggle
    from tasks.progress import bar

    settings = settings_from(source=catalogue, raw=raw, root=root)
    made = kaggle.download(catalogue, settings.raw_dir, archive=archive, progress=bar("download: unpack"))
    atomic_write(settings.source_manifest, json.dumps(made.manifest, indent=2, ensure_ascii=False, default=str) + "\n")
    for path in (made.folder, settings.source_manifest):
        out.print(path, soft_wrap=True, highlight=False)
    source = kaggle.SETS[catalogue].source
    out.print(f"fvrec ingest --source {source} --raw {made.folder}", soft_wrap=True, highlight=False)
