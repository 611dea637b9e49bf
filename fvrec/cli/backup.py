"""Commands that carry a root away and bring it back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fvrec.cli.common import RootOption, out, settings_from


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    for command in (backup, restore):
        app.command()(command)


def backup(
    archive: Annotated[Path, typer.Argument(help="The tar to write.")],
    root: RootOption = None,
    photos: Annotated[bool, typer.Option("--photos", help="Also what lies below data/raw.")] = False,
) -> None:
    """Write warehouse, models, policies, data and reports to one archive, with a checksum for every file."""
    from tasks.backup import backup as make

    made = make(settings_from(root=root), archive, photos=photos)
    out.print(f"{made.files} files, {made.size:,} bytes: {made.archive}", soft_wrap=True, highlight=False)


def restore(
    archive: Annotated[Path, typer.Argument(help="What `fvrec backup` wrote.")],
    root: RootOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in the root.")] = False,
) -> None:
    """Check an archive file by file, put it into a root, publish its warehouse."""
    from tasks.backup import restore as put_back

    made = put_back(settings_from(root=root), archive, overwrite=overwrite)
    out.print(f"{made.files} files restored from {made.archive}", soft_wrap=True, highlight=False)
