"""Query results as files: CSV, JSON (a list of objects) or Parquet with DuckDB's own types."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fvrec.errors import FvrecError

FORMATS = ("csv", "json", "parquet")


def encode(table: pa.Table, kind: str) -> bytes:
    """The rows as a file of that kind, UTF-8. FvrecError when that kind has no place for a value."""
    if kind == "parquet":
        return _parquet(table)
    return (_csv(table) if kind == "csv" else _json(table)).encode()


def columns(table: pa.Table | pa.RecordBatch) -> list[list[Any]]:
    """The values of each column. FvrecError on a value that Python cannot hold."""
    try:
        return [column.to_pylist() for column in table.columns]
    except (OverflowError, ValueError, pa.ArrowException) as error:
        # DuckDB's years go on where Python's end, at 9999.
        raise FvrecError(
            f"a value of these rows does not fit: {error}", where="sql", allowed="the value as text: CAST(… AS VARCHAR)"
        ) from error


def _parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    try:
        pq.write_table(table, file)
    except pa.ArrowException as error:
        raise FvrecError(f"these columns do not fit Parquet: {error}", where="sql", found=table.column_names) from error
    return file.getvalue()


def _csv(table: pa.Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.column_names)
    for batch in table.to_batches():
        rows = zip(*columns(batch), strict=True)
        writer.writerows(["" if cell is None else _text(cell) for cell in row] for row in rows)
    return text.getvalue()


def _json(table: pa.Table) -> str:
    rows = [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns(table), strict=True)]
    return json.dumps(rows, ensure_ascii=False, indent=1, default=str) + "\n"


def _text(cell: Any) -> str:
    return json.dumps(cell, ensure_ascii=False, default=str) if isinstance(cell, (list, dict, bool)) else str(cell)
