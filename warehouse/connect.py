"""Opening a database file: which mode, how long to wait for other processes, and errors that a user can act on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from fvrec.errors import FvrecError

WAIT_S = 60.0
"""Seconds to wait for another process that holds the file."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.005, 0.25

# One configuration for every read, because DuckDB shares an instance between the readers of a file in a process and
# wants it to be the same. SQL that people type must reach neither other files nor the settings.
_READ_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "lock_configuration": "true",
    # DuckDB's own is four fifths of the machine: one query that somebody types would crowd out the page it runs in.
    "memory_limit": "50%",
    # What does not fit goes beside the database: its own is nine tenths of the disk's room.
    "max_temp_directory_size": "4GB",
}


def open_for_writing(path: Path, wait_s: float = WAIT_S) -> duckdb.DuckDBPyConnection:
    """A read-write connection; makes file and folder. Waits for other processes, FvrecError after ``wait_s``."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FvrecError("the warehouse folder cannot be made", where=path.parent, found=error.strerror) from error
    return wait_for_lock(lambda: duckdb.connect(path), path, wait_s)


def open_for_reading(path: Path, wait_s: float = WAIT_S) -> duckdb.DuckDBPyConnection:
    """A read-only, sandboxed connection. FvrecError when there is no such file."""
    require_database(path)
    return wait_for_lock(lambda: duckdb.connect(path, read_only=True, config=_READ_CONFIG), path, wait_s)


def require_database(path: Path) -> None:
    """FvrecError that names the command to run, unless the file is there."""
    if not path.is_file():
        raise FvrecError("there is no warehouse yet: `fvrec run` makes it", where=path)


def wait_for_lock(
    connect: Callable[[], duckdb.DuckDBPyConnection], path: Path, wait_s: float
) -> duckdb.DuckDBPyConnection:
    """The result of ``connect``, tried again with growing pauses while another process holds the file."""
    deadline, pause = time.monotonic() + wait_s, _FIRST_PAUSE_S
    while True:
        try:
            return connect()
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error):
                raise FvrecError("the database cannot be opened", where=path, found=first_line(error)) from error
            if time.monotonic() + pause > deadline:
                raise FvrecError(
                    f"another process still holds the database after {wait_s:g} s: close it or try again",
                    where=path,
                    found=first_line(error),
                ) from error
        except duckdb.Error as error:
            raise FvrecError("the database cannot be opened", where=path, found=first_line(error)) from error
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


def refuse_snapshot(path: Path) -> None:
    """FvrecError when the path is a link: published snapshots are never written to."""
    if path.is_symlink():
        raise FvrecError("a published snapshot is read-only: write to the live database and publish", where=path)


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """BEGIN, then COMMIT, or ROLLBACK on any exception."""
    connection.begin()
    try:
        yield
    except BaseException:
        # After a fatal error DuckDB has no transaction left to roll back; the first error is the one to report.
        with suppress(duckdb.Error):
            connection.rollback()
        raise
    connection.commit()


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns DuckDB's errors into FvrecError, as callers of the warehouse do not know DuckDB."""
    try:
        yield
    except duckdb.Error as error:
        raise FvrecError("the database refused", where=path, found=first_line(error)) from error


def is_io_trouble(error: BaseException) -> bool:
    """Whether DuckDB met trouble with the file (held, unreadable), which may pass, and not with what was asked."""
    return isinstance(error, duckdb.IOException)


def first_line(error: Exception) -> str:
    """DuckDB's message without the echo of the statement."""
    return str(error).strip().split("\n\n")[0].replace("\n", " ")
