"""Embeddings -> one matrix in the order asked for."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fvrec.errors import FvrecError


def read_vectors(
    connection: duckdb.DuckDBPyConnection, item_ids: Sequence[str], model: str | None, source: str | None
) -> NDArray[np.float32]:
    """``[N, D]`` float32, row i for ``item_ids[i]``; ``[0, 0]`` for no items.

    ``model`` None means the only one that there is. FvrecError when there are several, when an item has no vector, or
    has vectors in two sources and ``source`` is not given.
    """
    if not item_ids:
        return np.zeros((0, 0), dtype=np.float32)
    model = model or _only_model(connection, source)
    connection.register("wanted_items", pa.table({"place": range(len(item_ids)), "item_id": list(item_ids)}))
    found = connection.sql(
        """
        SELECT w.place, e.vector FROM wanted_items AS w JOIN embeddings AS e USING (item_id)
        WHERE e.model = ? AND (? IS NULL OR e.source = ?) ORDER BY w.place
        """,
        params=[model, source, source],
    ).to_arrow_table()
    connection.unregister("wanted_items")
    _require_each_once(connection, found.column("place").to_numpy(), item_ids, model)
    vectors = pa.chunked_array(found.column("vector")).combine_chunks()
    flat = vectors.flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(flat.reshape(len(item_ids), -1), dtype=np.float32)


def _models(connection: duckdb.DuckDBPyConnection, source: str | None) -> list[str]:
    rows = connection.execute(
        "SELECT DISTINCT model FROM embeddings WHERE $source IS NULL OR source = $source ORDER BY 1", {"source": source}
    ).fetchall()
    return [row[0] for row in rows]


def _only_model(connection: duckdb.DuckDBPyConnection, source: str | None) -> str:
    models = _models(connection, source)
    if len(models) != 1:
        raise FvrecError("name one embedding model", where="embeddings", found=models, allowed=models or "none yet")
    return models[0]


def _require_each_once(
    connection: duckdb.DuckDBPyConnection, places: NDArray[np.int64], item_ids: Sequence[str], model: str
) -> None:
    times = np.bincount(places, minlength=len(item_ids))
    if (times == 0).any():
        missing = item_ids[int(np.argmin(times))]
        models = _models(connection, None) or "none yet"
        raise FvrecError("an item has no embedding", where=f"model {model}", found=missing, allowed=models)
    if (times > 1).any():
        repeated = item_ids[int(np.argmax(times))]
        raise FvrecError("an item_id is in several sources: name the source", where="embeddings", found=repeated)
