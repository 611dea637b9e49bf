"""Progress bars for long steps, handed to the library as a callable that wraps an iterable."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from time import monotonic
from typing import Any, cast
from uuid import UUID

from tqdm import tqdm

_PROGRESS_S = 10.0

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
        return tqdm(
            _told(iterable, description),
            total=_length(iterable),
            desc=description,
            disable=not visible(),
            mininterval=interval,
            dynamic_ncols=True,
        )

    return wrap


def steps(description: str) -> Callable[[int, int], None]:
    """A bar for code that reports (steps done, steps in all) instead of walking an iterable."""
    meter: list[Any] = []
    artifact = ProgressArtifact(description)

    def report(done: int, total: int) -> None:
        artifact.update(done, total)
        if not meter:
            meter.append(tqdm(total=total, desc=description, disable=not visible(), dynamic_ncols=True))
        meter[0].update(done - meter[0].n)
        if done >= total:
            meter[0].close()

    return report


class ProgressArtifact:
    """How far a long loop is, in the Prefect UI. One that is over within seconds leaves none."""

    def __init__(self, description: str) -> None:
        self._description = description
        self._id: UUID | None = None
        self._next = monotonic() + _PROGRESS_S

    def update(self, done: int, total: int) -> None:
        """At most every ten seconds, and at the end of what was announced."""
        if monotonic() < self._next and not (self._id and done >= total):
            return
        # Commands without a flow show bars too, and need not wait for Prefect to be imported.
        if "prefect.context" not in sys.modules or sys.modules["prefect.context"].TaskRunContext.get() is None:
            return
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        self._next = monotonic() + _PROGRESS_S
        percent = 100.0 * min(done, total) / max(total, 1)
        if self._id is None:
            key = re.sub(r"[^a-z0-9]+", "-", self._description.lower()).strip("-")
            made = create_progress_artifact(percent, key=f"progress-{key}", description=self._description)
            self._id = cast(UUID, made)
        else:
            update_progress_artifact(self._id, percent)


def _told(iterable: Iterable[Any], description: str) -> Iterator[Any]:
    artifact, total = ProgressArtifact(description), _length(iterable)
    for done, one in enumerate(iterable, start=1):
        yield one
        if total:
            artifact.update(done, total)


def _length(iterable: Iterable[Any]) -> int | None:
    return len(iterable) if isinstance(iterable, Sized) else None
