"""One readers-writer lock per database file within this process.

DuckDB refuses to open one file twice in a process with different access modes, so threads that read (read-only mode)
and threads that write must take turns. Other processes are kept out by DuckDB's own file lock.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fvrec.errors import FvrecError


class PathLock:
    """Many readers or one writer; waiting writers go first. A thread may nest reads, and nothing else."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        self._readers: Counter[int] = Counter()
        self._writer: int | None = None
        self._waiting_writers = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold the file for reading. FvrecError inside this thread's own write."""
        me = threading.get_ident()
        with self._changed:
            self._refuse_nesting_in_write(me)
            # A nested read must not queue behind a writer that waits for the outer read.
            self._changed.wait_for(lambda: self._writer is None and (me in self._readers or not self._waiting_writers))
            self._readers[me] += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers[me] -= 1
                if not self._readers[me]:
                    del self._readers[me]
                self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the file for writing. FvrecError inside this thread's own read or write."""
        me = threading.get_ident()
        with self._changed:
            self._refuse_nesting_in_write(me)
            if me in self._readers:
                raise FvrecError("a write cannot begin inside a read of the same database", where=self._name)
            self._waiting_writers += 1
            try:
                self._changed.wait_for(lambda: self._writer is None and not self._readers)
                self._writer = me
            finally:
                self._waiting_writers -= 1
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._writer = None
                self._changed.notify_all()

    @contextmanager
    def at_once(self) -> Iterator[bool]:
        """Hold the file exclusively if nobody in this process uses it or waits for it; whether it is held."""
        with self._changed:
            free = self._writer is None and not self._readers and not self._waiting_writers
            if free:
                self._writer = threading.get_ident()
        try:
            yield free
        finally:
            if free:
                with self._changed:
                    self._writer = None
                    self._changed.notify_all()

    def _refuse_nesting_in_write(self, thread: int) -> None:
        if self._writer == thread:
            raise FvrecError("this thread is already writing to the database: use that connection", where=self._name)


_locks: dict[str, PathLock] = {}
_locks_guard = threading.Lock()


def lock_of(path: Path) -> PathLock:
    """The lock that every user of this file in this process shares, by its real path."""
    name = os.path.realpath(path)
    with _locks_guard:
        return _locks.setdefault(name, PathLock(name))
