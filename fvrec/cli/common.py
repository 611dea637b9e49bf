"""What every command shares: the two consoles, the common options, and settings made from them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from fvrec.config import PRESETS, SOURCES, Settings

out, err = Console(), Console(stderr=True)

SourceOption = Annotated[str | None, typer.Option("--source", help=f"Where products come from: {', '.join(SOURCES)}.")]
RawOption = Annotated[Path | None, typer.Option("--raw", help="Folder of the source's files [data/raw/SOURCE].")]
RootOption = Annotated[Path | None, typer.Option("--root", help="Folder for everything that is made [.].")]
PresetOption = Annotated[str | None, typer.Option("--preset", help=f"Sizes and budgets: {', '.join(PRESETS)}.")]
SeedOption = Annotated[int | None, typer.Option("--seed", min=0, help="One seed for every generator.")]
LimitOption = Annotated[int | None, typer.Option("--limit", help="Take a seeded sample of so many rows.")]
WeightsOption = Annotated[
    Path | None, typer.Option("--weights", help="Folder of the preset's published weights [data/weights/NAME].")
]
RunnerOption = Annotated[
    str | None, typer.Option("--runner", help="Who does the shards of the work: local, threads, ray, ray://HOST:PORT.")
]


def settings_from(**given: Any) -> Settings:
    """Options that were given, over the environment's, over the defaults."""
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    _ = settings.budget
    return settings
