"""What every page stands in: settings, the service of the published snapshot, the language, and errors as sentences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from app import memory, views
from fvrec.config import Settings
from fvrec.errors import FvrecError
from warehouse.read import Warehouse

if TYPE_CHECKING:
    from app.service import DemoService
    from fvrec.rerank.constraints import Language


def run(body: Callable[[Settings, Language], None]) -> None:
    """A page's body. An error that the visitor can mend is said in words; any other goes to the log."""
    memory.spare()
    tongue = language()
    with views.said_in_words(tongue):
        body(Settings(), tongue)


def language() -> Language:
    """As chosen in the header; before that, the browser's."""
    preferred: Language = "zh" if (st.context.locale or "").lower().startswith("zh") else "en"
    chosen: Language = st.session_state.get("language") or preferred
    return chosen


def service(settings: Settings) -> DemoService:
    """The service of the snapshot that is published now. FvrecError when there is none."""
    return _service(settings.snapshot.resolve(), settings)


def warehouse(settings: Settings) -> Warehouse:
    """The snapshot that is published now. FvrecError when there is none."""
    if not settings.snapshot.exists():
        raise FvrecError("there is no warehouse yet: `fvrec run` makes it", where=settings.snapshot)
    return Warehouse(settings.snapshot.resolve())


@st.cache_resource(max_entries=2, show_spinner=False)
def _service(snapshot: Path, _settings: Settings) -> DemoService:
    """One service per published snapshot: publishing another changes the resolved path, which is the key."""
    from app.service import DemoService

    # The service of a snapshot before may be among what was left out, and goes when this one is kept.
    memory.look_again_soon()
    return DemoService.open(_settings)
