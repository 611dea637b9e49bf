"""Records -> Arrow tables in the shape of their relation, for bulk loading."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import PurePath
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from fvrec.errors import FvrecError


def to_table(
    connection: duckdb.DuckDBPyConnection, relation: str, records: Sequence[object], **constants: str
) -> pa.Table:
    """One row a record: each column of ``relation`` is the field of that name, or one of ``constants``.

    Mappings become JSON. FvrecError when a value does not fit its column.
    """
    schema = schema_of(connection, relation)
    columns: dict[str, Sequence[object]] = {
        name: [constants[name]] * len(records) if name in constants else _column(records, name) for name in schema.names
    }
    return _build(relation, columns, schema)


def columns_to_table(connection: duckdb.DuckDBPyConnection, relation: str, columns: Mapping[str, Any]) -> pa.Table:
    """The same from whole columns."""
    return _build(relation, columns, schema_of(connection, relation))


def schema_of(connection: duckdb.DuckDBPyConnection, relation: str) -> pa.Schema:
    """Arrow schema of a relation: its columns in order."""
    return connection.sql(f'SELECT * FROM "{relation}" LIMIT 0').to_arrow_table().schema  # noqa: S608


def to_json(value: object) -> str:
    """JSON text that any reader accepts: NaN and Infinity are refused, numpy numbers, dates and paths are not."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise FvrecError(f"a value cannot be kept as JSON: {error}", found=value) from error


def _column(records: Sequence[object], name: str) -> list[object]:
    values = [getattr(record, name) for record in records]
    return [to_json(value) if isinstance(value, Mapping) else value for value in values]


def _build(relation: str, columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    arrays = []
    for field in schema:
        try:
            arrays.append(pa.array(columns[field.name], type=field.type, from_pandas=False))
        except (pa.ArrowException, UnicodeEncodeError, TypeError, OverflowError) as error:
            raise FvrecError(
                "a value does not fit its column", where=f"{relation}.{field.name}", found=str(error)
            ) from error
    return pa.Table.from_arrays(arrays, schema=schema)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
