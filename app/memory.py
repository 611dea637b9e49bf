"""What lives long is not searched for garbage again and again.

Streamlit asks for a full collection after every run of the page. A full collection looks at every object there is, and
nobody is answered meanwhile: with the products and answers of a large catalogue in memory that is half a second.
"""

from __future__ import annotations

import atexit
import gc
import time
from typing import Any

_LONG_S = 0.01
"""A full collection that takes longer has met much that lives on."""


class _Collections:
    """Listens to the collector: what survives a long full collection is left out of the next ones."""

    def __init__(self) -> None:
        self._begin = 0.0

    def __call__(self, phase: str, about: dict[str, Any]) -> None:
        if about["generation"] < 2:
            return
        if phase == "start":
            self._begin = time.perf_counter()
        elif time.perf_counter() - self._begin > _LONG_S:
            gc.freeze()


_COLLECTIONS = _Collections()


def spare() -> None:
    """From now on leave out of full collections what has survived a long one. Once for the process."""
    if _COLLECTIONS not in gc.callbacks:
        gc.callbacks.append(_COLLECTIONS)
        atexit.register(_end)


def look_again() -> None:
    """Let the next full collection look at everything once more: much of what lived may have gone."""
    gc.unfreeze()


def _end() -> None:
    """Extension modules complain of what is left when the process ends."""
    gc.callbacks.remove(_COLLECTIONS)
    gc.unfreeze()
