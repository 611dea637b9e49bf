"""Fingerprints of rows: a manifest keeps them, and notices later that rows were deleted, added or altered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import duckdb

RUN_RELATIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    dict.fromkeys(("predictions", "predicted_attributes", "metrics", "confusions", "curves", "rankings"), ())
)
"""Relations with the rows of one run -> columns that the fingerprint leaves out."""
SOURCE_RELATIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "items": ("ingested_at", "vanished_at", "left_out_at"),
        "item_attributes": (),
        "quarantine": ("seen_at",),
        "users": (),
        "interactions": (),
        "embeddings": (),
    }
)
"""The same for the rows of one source: saving the same data again is no change."""
_PRESENT = {
    "items": "vanished_at IS NULL AND left_out_at IS NULL",
    "item_attributes": """(source, item_id) NOT IN
        (SELECT (source, item_id) FROM items WHERE vanished_at IS NOT NULL OR left_out_at IS NOT NULL)""",
}
"""Which rows count: what has vanished or was left out is no part of the catalogue that others are made from."""


def fingerprints(
    connection: duckdb.DuckDBPyConnection, relations: Mapping[str, Iterable[str]], key: str, value: str
) -> dict[str, str]:
    """relation -> ``count:hash`` of its rows with ``key = value``.

    The hash is the XOR and the sum of the rows' 64-bit hashes: the order of rows does not count, their number and every
    byte of them do (XOR alone would miss a row that is there twice). It holds for one version of DuckDB.
    """
    return {
        relation: _fingerprint(connection, relation, tuple(left_out), key, value)
        for relation, left_out in relations.items()
    }


def _fingerprint(
    connection: duckdb.DuckDBPyConnection, relation: str, left_out: tuple[str, ...], key: str, value: str
) -> str:
    # The key itself does not count: a run that repeats another's rows under a new name has made the same content.
    columns = "* EXCLUDE (" + ", ".join(f'"{name}"' for name in (key, *left_out)) + ")"
    present = _PRESENT.get(relation, "true")
    row = connection.execute(
        f"""
        SELECT count(*), coalesce(bit_xor(h), 0), coalesce(sum(h), 0) % 18446744073709551616
        FROM (SELECT hash(r) AS h FROM (SELECT {columns} FROM "{relation}" WHERE "{key}" = ? AND {present}) AS r)
        """,  # noqa: S608
        [value],
    ).fetchall()[0]
    return f"{int(row[0])}:{int(row[1]):016x}{int(row[2]):016x}"
