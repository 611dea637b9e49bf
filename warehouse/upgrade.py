"""Numbered migrations, forward only, and the views over them.

``migrations/0001_name.sql`` … are applied in order, each in one transaction with its row in ``schema_migrations``.
``views/<view>.sql`` are dropped and made again after them: a view carries no data, so it needs no history.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import duckdb

from fvrec.errors import FvrecError
from warehouse.connect import first_line, transaction

MIGRATIONS = Path(__file__).parent / "migrations"
VIEWS = Path(__file__).parent / "views"
_FILE_NAME = re.compile(r"(\d{4})_(\w+)\.sql")
_RECORD = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version INTEGER PRIMARY KEY, name VARCHAR NOT NULL, applied_at TIMESTAMPTZ NOT NULL DEFAULT current_timestamp
)
"""


@dataclass(frozen=True)
class Migration:
    """One numbered step. Its file may hold many statements, but none that begins or ends a transaction."""

    version: int
    name: str
    file: Path


def load_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """The folder's migrations in order. FvrecError unless they are numbered 1, 2, 3 … without a gap."""
    found = []
    for file in sorted(folder.glob("*.sql")):
        match = _FILE_NAME.fullmatch(file.name)
        if match is None:
            raise FvrecError("a migration has no number", where=file, allowed="names like 0001_core.sql")
        found.append(Migration(int(match[1]), match[2], file))
    versions = [migration.version for migration in found]
    if versions != list(range(1, len(found) + 1)):
        raise FvrecError("migrations must be numbered without gap or repeat", where=folder, found=versions)
    return found


def database_version(connection: duckdb.DuckDBPyConnection) -> int:
    """The newest migration that the database has; 0 for a new one."""
    try:
        rows = connection.execute("SELECT coalesce(max(version), 0) FROM schema_migrations").fetchall()
    except duckdb.CatalogException:
        return 0
    return int(rows[0][0])


def is_current(connection: duckdb.DuckDBPyConnection, path: Path) -> bool:
    """Whether nothing is left to apply. FvrecError when the database is newer than the code."""
    return _compare(connection, path, len(load_migrations())) == 0


def check_version(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """FvrecError unless the database has exactly this code's schema version."""
    if _compare(connection, path, len(load_migrations())):
        raise FvrecError(
            "the database has an older schema than this code: any `fvrec` stage (or `fvrec run`) migrates it",
            where=path,
            found=database_version(connection),
            allowed=str(len(load_migrations())),
        )


def upgrade(
    connection: duckdb.DuckDBPyConnection, path: Path, migrations: Path = MIGRATIONS, views: Path = VIEWS
) -> None:
    """Apply what is missing, then make the views again. FvrecError names the file at fault, which leaves no trace."""
    steps = load_migrations(migrations)
    _compare(connection, path, len(steps))
    connection.execute(_RECORD)
    for step in steps[database_version(connection) :]:
        with _blaming(step.file), transaction(connection):
            _execute_script(connection, step.file)
            connection.execute("INSERT INTO schema_migrations (version, name) VALUES (?, ?)", [step.version, step.name])
    with transaction(connection):
        _remake_views(connection, views)


def _compare(connection: duckdb.DuckDBPyConnection, path: Path, newest: int) -> int:
    """How many migrations the database lacks. FvrecError when it has more than the code knows."""
    version = database_version(connection)
    if version > newest:
        raise FvrecError(
            "the database was made by a newer version of fvrec: upgrade fvrec, or move the file away and run again",
            where=path,
            found=version,
            allowed=f"schema versions up to {newest}",
        )
    return newest - version


def _remake_views(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Drop every view, then run the folder's files; one that needs another view waits until that one is there."""
    for (name,) in connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall():
        connection.execute(f'DROP VIEW "{name}"')
    for file in _in_order_of_need(sorted(folder.glob("*.sql"))):
        with _blaming(file):
            _execute_script(connection, file)


def _in_order_of_need(files: list[Path]) -> Iterator[Path]:
    """Each file after those whose view it mentions. FvrecError on a circle."""
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    needs = {
        file: {other for other in files if other != file and re.search(rf"\b{other.stem}\b", texts[file])}
        for file in files
    }
    try:
        yield from TopologicalSorter(needs).static_order()
    except CycleError as error:
        circle = ", ".join(file.name for file in error.args[1])
        raise FvrecError("views mention each other in a circle", found=circle) from error


def _execute_script(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    statements = duckdb.extract_statements(file.read_text(encoding="utf-8"))
    if any(statement.type == duckdb.StatementType.TRANSACTION for statement in statements):
        raise FvrecError("a script must not begin or end a transaction: it already runs in one", where=file)
    for statement in statements:
        connection.execute(statement)


@contextmanager
def _blaming(file: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise FvrecError("this script failed and was rolled back whole", where=file, found=first_line(error)) from error
