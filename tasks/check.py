"""What must hold before anything is written: the settings make sense and the source is there."""

from __future__ import annotations

from fvrec.config import Settings
from fvrec.errors import FvrecError
from fvrec.vlm.published import require_published
from tasks.source import source_of


def check_settings(settings: Settings) -> None:
    """FvrecError on an unknown preset or source, a limit below 1, a bad root, missing weights or raw files."""
    _ = settings.budget
    if settings.limit is not None and settings.limit < 1:
        raise FvrecError("--limit must be positive", found=settings.limit, allowed="1 or more")
    if settings.root.exists() and not settings.root.is_dir():
        raise FvrecError("the root is not a folder", where="--root", found=str(settings.root))
    if settings.budget.published:
        require_published(settings.budget.published, settings.weights_of(settings.budget.published))
    source_of(settings).discover()
