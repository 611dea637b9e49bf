"""One run at a time in a root: what a second one would find half-made belongs to the first."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from fvrec.config import Settings
from fvrec.errors import FvrecError
from tasks.leftovers import sweep

_held: set[Path] = set()


@contextmanager
def only_run(settings: Settings) -> Iterator[None]:
    """Keep other processes from running anything in this root; within this process it may be nested.

    FvrecError when another process holds it. The system releases it when its holder dies, however it dies, so whoever
    holds it knows that a run still marked as running was killed, and what half-built files there are: they are removed
    (``tasks/leftovers.py``). It binds processes, not threads: stages of one process run one after the other.
    """
    path = settings.prefect_home.resolve() / "run.lock"
    if path in _held:
        yield
        return
    with _opened(path) as file:
        _lock(file.fileno(), path)
        _sign(file)
        _held.add(path)
        try:
            sweep(settings)
            yield
        finally:
            _held.discard(path)


def _opened(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        raise FvrecError(f"cannot write: {error.strerror or error}", where=path) from error


def _sign(file: TextIO) -> None:
    """Say who holds it. On a full disk it is held all the same, and the next lock is told nobody's name."""
    with suppress(OSError):
        file.truncate(0)
        file.write(f"process {os.getpid()}\n")
        file.flush()


def _lock(descriptor: int, path: Path) -> None:
    # Not flock: a child process must not keep the lock of a parent that was killed.
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = path.read_text(encoding="utf-8").strip()
        raise FvrecError(
            "another run is at work in this root: wait for its end, or stop it", where=path, found=holder
        ) from error
