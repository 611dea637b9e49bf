"""The source that a run's settings name. Imports no Prefect: it is asked before anything is started."""

from __future__ import annotations

from fvrec.config import Settings
from fvrec.sources import Source, open_source


def source_of(settings: Settings) -> Source:
    """The connector that the settings name; nothing is read yet. FvrecError on an unknown source or preset."""
    return open_source(
        settings.source,
        settings.raw_dir,
        items=settings.budget.embedded_items,
        seed=settings.seed,
        limit=settings.limit,
    )
