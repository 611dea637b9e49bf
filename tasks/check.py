"""What must hold before anything is written: the settings make sense and the source is there."""

from __future__ import annotations

import shutil
from pathlib import Path

from fvrec.config import Settings
from fvrec.errors import FvrecError
from fvrec.vlm.published import require_published
from tasks.source import source_of

LEAST_FREE = 32 << 20
"""Bytes of the root's disk. Prefect's database takes some of them, and its server waits for minutes where it cannot."""


def check_settings(settings: Settings) -> None:
    """FvrecError on an unknown preset or source, a limit below 1, a bad root, a full disk, missing weights or files."""
    _ = settings.budget
    if settings.limit is not None and settings.limit < 1:
        raise FvrecError("--limit must be positive", found=settings.limit, allowed="1 or more")
    if settings.root.exists() and not settings.root.is_dir():
        raise FvrecError("the root is not a folder", where="--root", found=str(settings.root))
    _require_room(settings.root)
    if settings.budget.published:
        require_published(settings.budget.published, settings.weights_of(settings.budget.published))
    source_of(settings).discover()


def _require_room(root: Path) -> None:
    home = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.exists())
    free = shutil.disk_usage(home).free
    if free < LEAST_FREE:
        raise FvrecError(
            "the disk is full: No space left on device, or hardly any",
            where=home,
            found=f"{free} bytes free",
            allowed=f"{LEAST_FREE} and more",
        )
