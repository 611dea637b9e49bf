"""What must hold before anything is written: the settings make sense and the source is there."""

from __future__ import annotations

from fvrec.config import Settings
from fvrec.errors import FvrecError
from tasks.source import source_of


def check_settings(settings: Settings) -> None:
    """FvrecError on an unknown preset or source, a limit below 1, a root that is no folder, or missing raw files."""
    _ = settings.budget
    if settings.limit is not None and settings.limit < 1:
        raise FvrecError("--limit must be positive", found=settings.limit, allowed="1 or more")
    if settings.root.exists() and not settings.root.is_dir():
        raise FvrecError("the root is not a folder", where="--root", found=str(settings.root))
    source_of(settings).discover()
