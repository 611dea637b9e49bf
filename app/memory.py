"""What lives long is not searched for garbage again and again.

Streamlit asks for a full collection after every run of the page. A full collection looks at every object there is, and
nobody is answered meanwhile: with the products and answers of a large catalogue in memory that is half a second.
"""

from __future__ import annotations

import atexit
import gc
import math
import time
from typing import Any

_LONG_S = 0.01
"""A full collection that takes more processor time has met much that lives on."""
AGAIN_S = 900.0
"""Cycles that died after they were left out, as those of visitors who have gone, wait so long for another look."""


class _Collections:
    """Listens to the collector: what survives a long full collection is left out of the next ones."""

    def __init__(self) -> None:
        self._begin = 0.0
        self.looked = time.monotonic()
        """When everything was last to be looked at."""

    def __call__(self, phase: str, about: dict[str, Any]) -> None:
        if about["generation"] < 2:
            return
        if phase == "start":
            self._begin = time.thread_time()
        elif time.thread_time() - self._begin > _LONG_S:
            gc.freeze()


_COLLECTIONS = _Collections()


def spare() -> None:
    """From now on leave out of full collections what has survived a long one; call it at every run of a page.

    Every quarter of an hour, and after ``look_again_soon``, one collection looks at everything again.
    """
    if _COLLECTIONS not in gc.callbacks:
        gc.callbacks.append(_COLLECTIONS)
        atexit.register(_end)
    if time.monotonic() - _COLLECTIONS.looked > AGAIN_S:
        look_again()


def look_again_soon() -> None:
    """Look again from the next run of a page on: what is about to be let go has gone by then."""
    _COLLECTIONS.looked = -math.inf


def look_again() -> None:
    """Let the next full collection look at everything once more: much of what lived may have gone."""
    gc.unfreeze()
    _COLLECTIONS.looked = time.monotonic()


def _end() -> None:
    """Extension modules complain of what is left when the process ends."""
    gc.callbacks.remove(_COLLECTIONS)
    gc.unfreeze()
