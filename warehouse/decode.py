"""Rows of a relation -> records. The columns asked for are the record's own fields, in their order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Record = TypeVar("Record", bound=DataclassInstance)

_JSON_COLUMNS = frozenset({"raw", "config", "params", "evidence", "preferences", "estimate"})
_TIME_COLUMNS = frozenset({"ingested_at", "vanished_at", "seen_at", "started_at", "finished_at", "at"})


def select(
    connection: duckdb.DuckDBPyConnection,
    record: type[Record],
    relation: str,
    *,
    order: Sequence[str],
    leave_out: Iterable[str] = (),
    **equal: object,
) -> list[dict[str, Any]]:
    """The rows of ``relation`` as keyword arguments of ``record``, in ``order``.

    ``equal``: column -> value that it must have; a list or tuple means any of them, None no condition.
    """
    names = [field.name for field in fields(record) if field.name not in set(leave_out)]
    columns = ", ".join(f'"{name}"' for name in names)
    condition, parameters = where(equal)
    ordering = ", ".join(f'"{name}"' for name in order)
    rows = connection.execute(
        f'SELECT {columns} FROM "{relation}" WHERE {condition} ORDER BY {ordering}',  # noqa: S608
        parameters,
    ).fetchall()
    return [{name: _decoded(name, value) for name, value in zip(names, row, strict=True)} for row in rows]


def where(equal: Mapping[str, object]) -> tuple[str, list[object]]:
    """A condition and its parameters; see ``select``."""
    conditions = ["true"]
    parameters: list[object] = []
    for name, value in equal.items():
        if value is None:
            continue
        if isinstance(value, list | tuple):
            conditions.append(f'"{name}" IN (SELECT unnest(?::VARCHAR[]))')
            parameters.append(list(value))
        else:
            conditions.append(f'"{name}" = ?')
            parameters.append(value)
    return " AND ".join(conditions), parameters


def _decoded(name: str, value: object) -> object:
    if name in _JSON_COLUMNS and isinstance(value, str):
        return json.loads(value)
    if name in _TIME_COLUMNS and isinstance(value, datetime):
        return value.astimezone(UTC)
    return value
