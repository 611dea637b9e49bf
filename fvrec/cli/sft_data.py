"""``fvrec export-sft``: training samples carried elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fvrec.cli.common import RootOption, out, settings_from


def register(app: typer.Typer) -> None:
    """Add this command to ``app``."""
    app.command("export-sft")(export_sft)


def export_sft(
    output: Annotated[Path, typer.Option("--out", help="Folder for train, eval and test.parquet.")],
    root: RootOption = None,
    image_size: Annotated[
        int, typer.Option("--image-size", min=8, max=2048, help="Side of the photos in pixels.")
    ] = 256,
) -> None:
    """Write data/sft as Parquet in MiniMind-V's layout (conversations, image_bytes)."""
    from fvrec.vlm.export import export_parquet
    from tasks.places import sft_file
    from tasks.progress import bar
    from tasks.sft_data import FILES

    settings = settings_from(root=root)
    for name in FILES:
        path = output / f"{name}.parquet"
        progress = bar(f"export-sft: {name}")
        made = export_parquet(
            sft_file(settings, name), path, root=settings.root, image_size=image_size, progress=progress
        )
        out.print(f"{path}: {made.rows} samples of {made.items} items, {made.with_photo} with a photo", soft_wrap=True)
