"""The way to the database file: short writes, short reads, migration, publication.

A DuckDB writer keeps every other process out, readers included. So a flow's tasks open the live file for the length
of one transaction, and everybody else (page, SQL clients) opens the newest published snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb

from fvrec.errors import FvrecError
from warehouse.connect import (
    WAIT_S,
    explained,
    open_for_reading,
    open_for_writing,
    refuse_snapshot,
    require_database,
    transaction,
)
from warehouse.locks import lock_of
from warehouse.publish import copy, publish
from warehouse.turns import turn
from warehouse.upgrade import MIGRATIONS, VIEWS, check_version, database_version, is_current, upgrade

__all__ = ["copy", "migrate", "publish", "reading", "schema_version", "writing"]


def migrate(path: Path, *, migrations: Path = MIGRATIONS, views: Path = VIEWS, wait_s: float = WAIT_S) -> None:
    """Bring the database at ``path`` (made when absent) forward to this version of the code, and its views with it.

    Each migration commits together with its record. FvrecError when one fails (it rolls back whole) or when the
    database is newer than the code.
    """
    refuse_snapshot(path)
    with lock_of(path).exclusive(), explained(path), turn(path, exclusive=True, wait_s=wait_s):
        connection = open_for_writing(path, wait_s)
        try:
            upgrade(connection, path, migrations, views)
        finally:
            connection.close()


@contextmanager
def writing(path: Path, *, wait_s: float = WAIT_S) -> Iterator[duckdb.DuckDBPyConnection]:
    """One short transaction on the live file: committed at the end, rolled back on any error.

    Makes or migrates the database first when needed. Waits up to ``wait_s`` seconds for other processes; threads of
    this process take turns. FvrecError when the file stays held, or when DuckDB refuses a statement.
    """
    refuse_snapshot(path)
    with lock_of(path).exclusive(), explained(path), turn(path, exclusive=True, wait_s=wait_s):
        connection = open_for_writing(path, wait_s)
        try:
            if not is_current(connection, path):
                upgrade(connection, path)
            with transaction(connection):
                yield connection
        finally:
            connection.close()


@contextmanager
def reading(path: Path, *, wait_s: float = WAIT_S) -> Iterator[duckdb.DuckDBPyConnection]:
    """A short read-only connection to a live file or a snapshot link, without access to other files.

    A link is followed at once, so that the whole read sees one snapshot. FvrecError when the file is missing
    (``fvrec run`` makes it), stays held by a writer, or has another schema version than the code.
    """
    with ExitStack() as held, explained(path):
        connection = _open_newest(path, held, wait_s)
        check_version(connection, path)
        yield connection


def schema_version(path: Path, *, wait_s: float = WAIT_S) -> int:
    """The schema version of a database, whatever this code's is; 0 for one without any relation of fvrec's."""
    with lock_of(path).shared(), explained(path), turn(path, exclusive=False, wait_s=wait_s):
        connection = open_for_reading(path, wait_s)
        try:
            return database_version(connection)
        finally:
            connection.close()


def _open_newest(path: Path, held: ExitStack, wait_s: float) -> duckdb.DuckDBPyConnection:
    """A connection to what ``path`` points at now; it and its lock are released with ``held``."""
    while True:
        real = _resolve(path)
        held.enter_context(lock_of(real).shared())
        if not path.is_symlink():
            held.enter_context(turn(real, exclusive=False, wait_s=wait_s))
        try:
            connection = open_for_reading(real, wait_s)
        except FvrecError:
            if path.is_symlink() and not real.exists() and _resolve(path) != real:
                continue  # several publications happened since the link was read, and the old snapshot is gone
            raise
        held.callback(connection.close)
        return connection


def _resolve(path: Path) -> Path:
    try:
        return path.resolve(strict=True)
    except FileNotFoundError:
        require_database(path)
        raise
    except OSError as error:
        raise FvrecError("the database path cannot be followed", where=path, found=error.strerror) from error
