"""Turns of several processes at one live database: a lock file beside it, held from before opening until after closing.

DuckDB's own lock keeps others out too, but whoever waits for it must open the file again and again, and with several
writers on a busy machine one of them may wait for a minute. Asking for a lock file costs microseconds, so it can be
asked for often. The kernel gives it up when its holder dies.
"""

from __future__ import annotations

import errno
import fcntl
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from fvrec.errors import FvrecError

_PAUSE_S = (0.002, 0.02)


@contextmanager
def turn(path: Path, *, exclusive: bool, wait_s: float) -> Iterator[None]:
    """Many readers or one writer among all processes that ask here. FvrecError when ``wait_s`` are over.

    A writer first becomes the next one, so that whoever has just written does not overtake those who wait. A reader who
    may not write here reads without a turn: DuckDB's own lock still keeps it apart from writers. A writer never does.
    """
    with ExitStack() as held:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            here = held.enter_context(path.with_name(f".{path.name}.turn").open("a"))
            following = held.enter_context(path.with_name(f".{path.name}.next").open("a"))
        except OSError as error:
            if exclusive or error.errno not in (errno.EROFS, errno.EACCES):
                raise FvrecError(f"cannot take a turn at the database ({error.strerror})", where=path) from error
            yield
            return
        deadline = time.monotonic() + wait_s
        if exclusive:
            _await(following, fcntl.LOCK_EX, deadline, path, wait_s)
        _await(here, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH, deadline, path, wait_s)
        following.close()
        yield


def _await(file: TextIO, kind: int, deadline: float, path: Path, wait_s: float) -> None:
    while refused := _refusal(file.fileno(), kind):
        if time.monotonic() > deadline:
            raise FvrecError(
                f"another process still holds the database after {wait_s:g} s: close it or try again", where=path
            ) from refused
        time.sleep(random.uniform(*_PAUSE_S))  # noqa: S311 - so that those who wait do not ask in step


def _refusal(descriptor: int, kind: int) -> OSError | None:
    """Take the lock if it is free; else why not, which a stage knows for trouble that may pass."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError as error:
        return error
    return None
