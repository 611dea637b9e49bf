"""A source's items within the caller's transaction: written piece by piece, marked when they vanish, remembered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TypeVar

import duckdb

from fvrec.errors import FvrecError
from fvrec.records import Item, Placed, Quarantined
from warehouse.encode import to_table
from warehouse.replace import delete_rows, insert_rows, insert_values

_AT_ONCE = 5_000
_ITEM = ("source", "item_id")
Row = TypeVar("Row", Item, Quarantined)


def insert_items(connection: duckdb.DuckDBPyConnection, source: str, items: Iterable[Item]) -> None:
    """Add the items with their attributes. FvrecError on one of another source or one that is there already."""
    for piece in _pieces(source, items):
        _insert_piece(connection, piece)
    _refuse_repeats(connection, source)


def replace_items(connection: duckdb.DuckDBPyConnection, source: str, items: Iterable[Item]) -> None:
    """The same, in the place of what is known of these items."""
    for piece in _pieces(source, items):
        key = to_table(connection, "items", piece)
        for relation in ("items", "item_attributes"):
            delete_rows(connection, relation, like=(key, _ITEM))
        _insert_piece(connection, piece)
    _refuse_repeats(connection, source)


def insert_quarantine(connection: duckdb.DuckDBPyConnection, source: str, rejected: Iterable[Quarantined]) -> None:
    """Add what was rejected. FvrecError on a row of another source."""
    for piece in _pieces(source, rejected):
        insert_rows(connection, "quarantine", to_table(connection, "quarantine", piece))


def mark_left_out(connection: duckdb.DuckDBPyConnection, source: str, item_ids: Sequence[str], at: datetime) -> None:
    """Note when a sample did not hold these items."""
    connection.execute(
        """
        UPDATE items SET left_out_at = $at
        WHERE source = $source AND left_out_at IS NULL AND item_id IN (SELECT unnest($ids::VARCHAR[]))
        """,
        {"at": at, "source": source, "ids": list(item_ids)},
    )


def mark_vanished(connection: duckdb.DuckDBPyConnection, source: str, item_ids: Sequence[str], at: datetime) -> None:
    """Note when these items were no longer found; those that are marked already keep their time."""
    connection.execute(
        """
        UPDATE items SET vanished_at = $at, left_out_at = NULL
        WHERE source = $source AND vanished_at IS NULL AND item_id IN (SELECT unnest($ids::VARCHAR[]))
        """,
        {"at": at, "source": source, "ids": list(item_ids)},
    )


def read_placed(connection: duckdb.DuckDBPyConnection, source: str) -> dict[str, Placed]:
    """item_id -> where it was put and by which traits, vanished ones and those that a sample left out included."""
    cursor = connection.execute(
        """
        SELECT item_id, group_id, split, group_key, image_sha256, image_phash, row_digest, vanished_at IS NOT NULL,
            left_out_at IS NOT NULL
        FROM items WHERE source = ?
        """,
        [source],
    )
    found: dict[str, Placed] = {}
    while rows := cursor.fetchmany(_AT_ONCE):
        found.update((row[0], Placed(*row[1:])) for row in rows)
    return found


def _pieces(source: str, rows: Iterable[Row]) -> Iterator[list[Row]]:
    remaining = iter(rows)
    while piece := list(islice(remaining, _AT_ONCE)):
        for row in piece:
            if row.source != source:
                raise FvrecError("a record belongs to another source", found=row.source, allowed=source)
        yield piece


def _insert_piece(connection: duckdb.DuckDBPyConnection, items: Sequence[Item]) -> None:
    insert_rows(connection, "items", to_table(connection, "items", items), unique=("item_id",))
    owners = {"source": [item.source for item in items], "item_id": [item.item_id for item in items]}
    attributes = [item.attributes for item in items]
    insert_values(
        connection,
        "item_attributes",
        owners,
        values=[{name: attribute.value for name, attribute in each.items()} for each in attributes],
        origin=[{name: attribute.origin for name, attribute in each.items()} for each in attributes],
    )


def _refuse_repeats(connection: duckdb.DuckDBPyConnection, source: str) -> None:
    """Two pieces may hold one item: only the whole tells."""
    repeated = connection.execute(
        "SELECT item_id FROM items WHERE source = ? GROUP BY 1 HAVING count(*) > 1 LIMIT 1", [source]
    ).fetchall()
    if repeated:
        raise FvrecError("two rows have the same key", where="items", found=repeated[0][0], allowed="one row a key")
