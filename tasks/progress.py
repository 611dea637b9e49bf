"""Progress bars for long steps, handed to the library as a callable that wraps an iterable."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from tqdm import tqdm

Progress = Callable[[Iterable[Any]], Iterable[Any]]
SILENCE = "FVREC_QUIET"
"""Environment variable: any value but empty or 0 hides the bars."""


def visible() -> bool:
    """Whether bars are to be shown at all."""
    return os.environ.get(SILENCE, "0") in ("", "0")


def bar(description: str) -> Progress:
    """A wrapper that shows a bar on stderr while the wrapped iterable is consumed.

    Without a terminal (a log file, CI) the bar is refreshed every ten seconds instead of ten times a second.
    """

    def wrap(iterable: Iterable[Any]) -> Iterable[Any]:
        interval = 0.1 if sys.stderr.isatty() else 10.0
        return tqdm(iterable, desc=description, disable=not visible(), mininterval=interval, dynamic_ncols=True)

    return wrap


def steps(description: str) -> Callable[[int, int], None]:
    """A bar for code that reports (steps done, steps in all) instead of walking an iterable."""
    meter: list[Any] = []

    def report(done: int, total: int) -> None:
        if not meter:
            meter.append(tqdm(total=total, desc=description, disable=not visible(), dynamic_ncols=True))
        meter[0].update(done - meter[0].n)
        if done >= total:
            meter[0].close()

    return report
