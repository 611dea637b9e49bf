"""Embeddings -> one matrix in the order asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fvrec.errors import FvrecError


@dataclass(frozen=True)
class FoundVectors:
    """The stored vectors of a list of items. places: ``[M]``, index into the list; vectors: ``[M, D]`` float32."""

    places: NDArray[np.int64]
    vectors: NDArray[np.float32]


def read_vectors(
    connection: duckdb.DuckDBPyConnection, item_ids: Sequence[str], model: str | None, source: str | None
) -> NDArray[np.float32]:
    """``[N, D]`` float32, row i for ``item_ids[i]``; ``[0, 0]`` for no items.

    ``model`` None means the only one that there is. FvrecError when there are several, when an item has no vector, or
    has vectors in two sources and ``source`` is not given.
    """
    if not item_ids:
        return np.zeros((0, 0), dtype=np.float32)
    chosen = model or only_model(connection, source)
    if chosen is None:
        raise FvrecError("there are no embeddings yet: `fvrec run` makes them", where=source)
    found = find_vectors(connection, item_ids, chosen, source)
    missing = np.setdiff1d(np.arange(len(item_ids)), found.places)
    if missing.size:
        models = embedding_models(connection, None)
        raise FvrecError(
            "an item has no embedding", where=f"model {chosen}", found=item_ids[int(missing[0])], allowed=models
        )
    return found.vectors


def find_vectors(
    connection: duckdb.DuckDBPyConnection, item_ids: Sequence[str], model: str, source: str | None
) -> FoundVectors:
    """The vectors that are there, in the order of ``item_ids``. FvrecError when an item has several."""
    connection.register("wanted_items", pa.table({"place": range(len(item_ids)), "item_id": list(item_ids)}))
    found = connection.sql(
        """
        SELECT w.place, e.vector FROM wanted_items AS w JOIN embeddings AS e USING (item_id)
        WHERE e.model = ? AND (? IS NULL OR e.source = ?) ORDER BY w.place
        """,
        params=[model, source, source],
    ).to_arrow_table()
    connection.unregister("wanted_items")
    places = found.column("place").to_numpy()
    repeated = np.flatnonzero(np.diff(places) == 0)
    if repeated.size:
        item_id = item_ids[int(places[repeated[0]])]
        raise FvrecError("an item_id is in several sources: name the source", where="embeddings", found=item_id)
    # Chunk by chunk, not combined: Arrow's pool would get the whole matrix once more, and keep it for a while.
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in found.column("vector").chunks if len(chunk)]
    width = sum(map(len, chunks)) // len(places) if len(places) else 0
    vectors = np.empty((len(places), width), dtype=np.float32)
    if chunks:
        np.concatenate(chunks, out=vectors.reshape(-1), casting="same_kind")
    return FoundVectors(places, vectors)


def only_model(connection: duckdb.DuckDBPyConnection, source: str | None) -> str | None:
    """The one embedding model of ``source`` (of all sources for None); None without any, FvrecError with several."""
    models = embedding_models(connection, source)
    if len(models) > 1:
        raise FvrecError("name one embedding model", where="embeddings", allowed=models)
    return models[0] if models else None


def embedding_models(connection: duckdb.DuckDBPyConnection, source: str | None) -> list[str]:
    """Names of the embedding models of ``source``, or of all sources."""
    rows = connection.execute(
        "SELECT DISTINCT model FROM embeddings WHERE $source IS NULL OR source = $source ORDER BY 1", {"source": source}
    ).fetchall()
    return [row[0] for row in rows]
