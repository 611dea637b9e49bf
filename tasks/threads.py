"""How many threads torch gets in a stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fvrec.config import Settings

NARROW = 128
"""At this width a second thread waits longer than it works: 95 s against 17 s for E2 at ``smoke`` on a busy machine."""


@contextmanager
def fitting_threads(settings: Settings) -> Iterator[None]:
    """One torch thread inside when the preset's LLM is narrow; the number before again afterwards."""
    import torch

    before = torch.get_num_threads()
    if settings.budget.llm.hidden <= NARROW:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
