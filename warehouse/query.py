"""SQL that people type: one query, read-only, cut off at a number of rows and a time."""

from __future__ import annotations

import threading
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import duckdb
import pyarrow as pa

from fvrec.errors import FvrecError
from warehouse.connect import first_line

_ALLOWED = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
_BATCH_ROWS = 10_000
MAX_COLUMNS = 1_000
"""Of a query that people type; ten times what the widest relation and its joins have."""
# A statement is executed, not a text, because only a parsed one is known to be a query.
warnings.filterwarnings("ignore", message="Arrow output on a DB-API result", category=UserWarning)


@dataclass(frozen=True)
class Table:
    """A result: names of the columns, rows in their order. ``truncated``: there were more rows than asked for."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool = False

    def as_dicts(self) -> list[dict[str, Any]]:
        """One mapping a row, column -> value."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def run_query(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    parameters: Sequence[object] | Mapping[str, object] = (),
    *,
    max_rows: int | None = None,
    timeout_s: float | None = None,
) -> Table:
    """Run one SELECT (or FROM, SHOW, DESCRIBE, SUMMARIZE, EXPLAIN) on a read-only, sandboxed connection.

    Parameters fill ``?``. FvrecError on a mistake in the SQL, on any other kind of statement, and after ``timeout_s``.
    """
    statement = _only_query(sql)
    with _deadline(connection, timeout_s), _explained(sql, timeout_s):
        connection.execute(statement, dict(parameters) if isinstance(parameters, Mapping) else list(parameters))
        columns = tuple(column[0] for column in connection.description or ())
        rows = connection.fetchall() if max_rows is None else connection.fetchmany(max_rows + 1)
    truncated = max_rows is not None and len(rows) > max_rows
    return Table(columns, tuple(rows[:max_rows] if truncated else rows), truncated)


def _only_query(sql: str) -> duckdb.Statement:
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise FvrecError(f"this is not SQL: {first_line(error)}", where="sql", found=sql) from error
    if len(statements) != 1:
        raise FvrecError("exactly one statement is expected", where="sql", found=len(statements), allowed="1")
    if statements[0].type not in _ALLOWED:
        raise FvrecError(
            "only queries are allowed: the warehouse is read-only here",
            where="sql",
            found=statements[0].type.name,
            allowed="SELECT, FROM, WITH, SHOW, DESCRIBE, SUMMARIZE, EXPLAIN",
        )
    return statements[0]


def run_arrow(
    connection: duckdb.DuckDBPyConnection, sql: str, *, max_rows: int, timeout_s: float, max_bytes: int | None = None
) -> tuple[pa.Table, bool]:
    """As :func:`run_query`, as an Arrow table that keeps the types; and whether there were more than ``max_rows``.

    Columns of one name are told apart (``a``, ``a_1``). FvrecError on rows that take more than ``max_bytes``, too.
    """
    statement = _only_query(sql)
    with _deadline(connection, timeout_s), _explained(sql, timeout_s):
        connection.execute(statement)
        if (wide := len(connection.description or ())) > MAX_COLUMNS:
            raise FvrecError("the rows have too many columns", where="sql", found=wide, allowed=f"up to {MAX_COLUMNS}")
        batches, rows, size = list[pa.RecordBatch](), 0, 0
        with cast(pa.RecordBatchReader, connection.to_arrow_reader(min(max_rows + 1, _BATCH_ROWS))) as reader:
            for batch in reader:
                batches.append(batch)
                rows, size = rows + batch.num_rows, size + batch.nbytes
                if max_bytes is not None and size > max_bytes:
                    raise FvrecError(
                        "the rows are too large: ask for fewer rows or columns",
                        where="sql",
                        found=f"more than {max_bytes // 2**20} MB",
                    )
                if rows > max_rows:
                    break
            found = pa.Table.from_batches(batches, reader.schema)
    return found.rename_columns(_told_apart(found.column_names)).slice(0, max_rows), rows > max_rows


def _told_apart(names: Sequence[str]) -> list[str]:
    """Each name once (a join of two tables repeats the key's name). Takes time in proportion to their number."""
    taken, used = set(names), Counter[str]()
    made = list[str]()
    for name in names:
        one = name
        while used[name] and one in taken:
            one = f"{name}_{used[name]}"
            used[name] += 1
        used[name] = used[name] or 1
        taken.add(one)
        made.append(one)
    return made


@contextmanager
def _explained(sql: str, timeout_s: float | None) -> Iterator[None]:
    try:
        yield
    except duckdb.InterruptException:
        raise FvrecError(f"the query was stopped after {timeout_s:g} s", where="sql", found=sql) from None
    except (duckdb.Error, pa.ArrowException) as error:
        if "interrupted" in str(error).lower():
            raise FvrecError(f"the query was stopped after {timeout_s:g} s", where="sql", found=sql) from None
        reason = first_line(error)
        raise FvrecError(f"the query failed: {reason}", where="sql", found=sql) from error


@contextmanager
def _deadline(connection: duckdb.DuckDBPyConnection, seconds: float | None) -> Iterator[None]:
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, connection.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
