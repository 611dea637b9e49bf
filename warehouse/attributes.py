"""Long attribute rows (one a field) -> one mapping an item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from fvrec.schema import FIELDS


def wide(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Sequence[str],
    keys: Sequence[str],
    condition: str,
    parameters: Sequence[object],
) -> dict[tuple[str, ...], dict[str, dict[str, Any]]]:
    """Owner (its ``keys``) -> column -> field -> value, fields in the schema's order. Owners without rows are absent.

    The rows are brought side by side in SQL: one row an owner crosses into Python instead of ten.
    """
    cells = ", ".join(f"max(\"{column}\") FILTER (field = '{field}')" for column in columns for field in FIELDS)
    owner = ", ".join(f'"{key}"' for key in keys)
    rows = connection.execute(
        f'SELECT {owner}, {cells} FROM "{relation}" WHERE {condition} GROUP BY {owner}',  # noqa: S608
        list(parameters),
    ).fetchall()
    width, first = len(FIELDS), len(keys)
    return {
        row[:first]: {
            column: dict(zip(FIELDS, row[first + i * width : first + (i + 1) * width], strict=True))
            for i, column in enumerate(columns)
        }
        for row in rows
    }
