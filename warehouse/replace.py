"""Replacing rows by key within the caller's transaction, in bulk: Arrow in, no row-by-row statements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice

import duckdb
import numpy as np
import pyarrow as pa

from fvrec.errors import FvrecError
from fvrec.records import Embedding
from fvrec.schema import FIELDS, VALUES
from warehouse.encode import columns_to_table

_INCOMING = "incoming_rows"
_VECTORS_AT_ONCE = 4096


def replace_rows(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    table: pa.Table,
    *,
    key: Sequence[str],
    unique: Sequence[str] = (),
) -> None:
    """Delete the rows whose ``key`` occurs in ``table``, then insert it. FvrecError on a repeat of ``unique``."""
    delete_rows(connection, relation, like=(table, key))
    insert_rows(connection, relation, table, unique=unique)


def insert_rows(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    table: pa.Table,
    *,
    unique: Sequence[str] = (),
    order: Sequence[str] = (),
) -> None:
    """Insert ``table``, its rows laid down by ``order``. FvrecError when two of them agree in all of ``unique``."""
    if not table.num_rows:
        return
    with _registered(connection, table):
        if unique:
            _refuse_repeats(connection, relation, unique)
        by = " ORDER BY " + ", ".join(f'"{name}"' for name in order) if order else ""
        connection.execute(f'INSERT INTO "{relation}" BY NAME SELECT * FROM {_INCOMING}{by}')  # noqa: S608


def delete_rows(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    *,
    like: tuple[pa.Table, Sequence[str]] | None = None,
    **equal: str,
) -> None:
    """Delete the rows with these values, or those that agree with a row of the table in all the named columns."""
    if like is None:
        condition = " AND ".join(f'"{name}" = ?' for name in equal)
        connection.execute(f'DELETE FROM "{relation}" WHERE {condition}', list(equal.values()))  # noqa: S608
        return
    table, key = like
    with _registered(connection, table):
        columns = ", ".join(f'"{name}"' for name in key)
        same = " AND ".join(f'"{relation}"."{name}" = keys."{name}"' for name in key)
        connection.execute(
            f'DELETE FROM "{relation}" USING (SELECT DISTINCT {columns} FROM {_INCOMING}) AS keys WHERE {same}'  # noqa: S608
        )


def delete_users_of_kind(connection: duckdb.DuckDBPyConnection, source: str, kind: str) -> None:
    """Delete the interactions of ``source`` that are of ``kind``, and the users who have one."""
    connection.execute(
        """
        DELETE FROM users WHERE source = $source AND user_id IN
            (SELECT user_id FROM interactions WHERE source = $source AND kind = $kind)
        """,
        {"source": source, "kind": kind},
    )
    delete_rows(connection, "interactions", source=source, kind=kind)


def insert_values(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    owners: Mapping[str, Sequence[str]],
    *,
    values: Sequence[Mapping[str, str]],
    **beside: Sequence[Mapping[str, object]],
) -> None:
    """One row for each of the ten fields of each owner: the owner's columns, ``field``, ``value``, and ``beside``.

    FvrecError when a field is missing or its value is not one of the schema's.
    """
    for row, attributes in enumerate(values):
        for field in FIELDS:
            if attributes.get(field) not in VALUES[field]:
                raise FvrecError(
                    "a value is not in the schema",
                    where=f"{relation}: {owners['item_id'][row]}, {field}",
                    found=attributes.get(field),
                    allowed=VALUES[field],
                )
    columns: dict[str, object] = {
        name: np.repeat(np.array(column, dtype=object), len(FIELDS)) for name, column in owners.items()
    }
    columns["field"] = list(FIELDS) * len(values)
    for name, rows in {"value": values, **beside}.items():
        columns[name] = [row[field] for row in rows for field in FIELDS]
    # Rows of one value lie together: whoever asks for it passes over the blocks of all the others.
    insert_rows(
        connection, relation, columns_to_table(connection, relation, columns), order=("field", "value", "item_id")
    )


def insert_vectors(connection: duckdb.DuckDBPyConnection, source: str, embeddings: Iterable[Embedding]) -> None:
    """Replace the vectors of each model that occurs, in pieces of a few thousand; see ``save_embeddings``."""
    widths: dict[str, int] = {}
    remaining = iter(embeddings)
    while piece := list(islice(remaining, _VECTORS_AT_ONCE)):
        for embedding in piece:
            if embedding.model not in widths:
                delete_rows(connection, "embeddings", source=source, model=embedding.model)
                widths[embedding.model] = len(embedding.vector)
            _check_width(embedding, widths[embedding.model])
        insert_rows(connection, "embeddings", _vector_table(source, piece))
    for model in widths:
        repeated = connection.execute(
            "SELECT item_id FROM embeddings WHERE source = ? AND model = ? GROUP BY 1 HAVING count(*) > 1 LIMIT 1",
            [source, model],
        ).fetchall()
        if repeated:
            raise FvrecError(
                "an item has two vectors under one model", where=f"embeddings: {model}", found=repeated[0][0]
            )


@contextmanager
def _registered(connection: duckdb.DuckDBPyConnection, table: pa.Table) -> Iterator[None]:
    """The table as a relation for a while. After an error it stays: an aborted transaction refuses to forget it."""
    connection.register(_INCOMING, table)
    yield
    connection.unregister(_INCOMING)


def _check_width(embedding: Embedding, width: int) -> None:
    if len(embedding.vector) != width:
        raise FvrecError(
            "vectors of one model differ in length",
            where=f"embeddings: {embedding.item_id}, {embedding.model}",
            found=len(embedding.vector),
            allowed=str(width),
        )


def _vector_table(source: str, piece: Sequence[Embedding]) -> pa.Table:
    flat = np.concatenate([np.asarray(embedding.vector, dtype=np.float32) for embedding in piece])
    if not np.isfinite(flat).all():
        raise FvrecError("a vector holds numbers that are not finite", where=f"embeddings: {piece[0].model}")
    offsets = np.cumsum([0, *(len(embedding.vector) for embedding in piece)], dtype=np.int32)
    return pa.table(
        {
            "source": [source] * len(piece),
            "item_id": [embedding.item_id for embedding in piece],
            "model": [embedding.model for embedding in piece],
            "vector": pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat)),
        }
    )


def _refuse_repeats(connection: duckdb.DuckDBPyConnection, relation: str, unique: Sequence[str]) -> None:
    columns = ", ".join(f'"{name}"' for name in unique)
    repeated = connection.execute(
        f"SELECT {columns} FROM {_INCOMING} GROUP BY ALL HAVING count(*) > 1 LIMIT 1"  # noqa: S608
    ).fetchall()
    if repeated:
        found = dict(zip(unique, repeated[0], strict=True))
        raise FvrecError("two rows have the same key", where=relation, found=found, allowed="one row a key")
