"""What a reranker chooses from: items, what a model read from them, and their vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.records import CandidateSet, Extraction
from fvrec.schema import FIELDS, UNKNOWN
from warehouse.attributes import wide
from warehouse.entities import read_items
from warehouse.vectors import find_vectors, only_model

_NOTHING_READ: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"value": dict.fromkeys(FIELDS, UNKNOWN), "confidence": dict.fromkeys(FIELDS, 0.0)}
)


def read_candidates(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    splits: Sequence[str] | None,
    variant: Mapping[str, str],
    *,
    preset: str | None,
    embedding_model: str | None,
) -> CandidateSet:
    """See ``Warehouse.candidates``. ``variant``: model, inputs and mode."""
    items = read_items(connection, source, splits)
    if not items:
        raise FvrecError("the catalogue has no such items: `fvrec ingest` makes it", where=source, found=splits)
    item_ids = tuple(item.item_id for item in items)
    key = {"run_id": _newest_extraction(connection, source, variant, preset), **variant}
    condition = " AND ".join(f'"{name}" = ?' for name in key)
    read = wide(
        connection, "predicted_attributes", ("value", "confidence"), ("item_id",), condition, list(key.values())
    )
    answers = [read.get((item_id,), _NOTHING_READ) for item_id in item_ids]
    return CandidateSet(
        item_ids=item_ids,
        items=tuple(items),
        attributes=tuple(answer["value"] for answer in answers),
        confidence=tuple(answer["confidence"] for answer in answers),
        embeddings=_unit_rows(connection, item_ids, source, embedding_model),
    )


def read_extractions(connection: duckdb.DuckDBPyConnection, source: str | None) -> list[Extraction]:
    """See ``Warehouse.extractions``; which run stands for a variant is decided as for candidates, over all presets."""
    rows = connection.execute(
        """
        WITH variants AS (
            SELECT DISTINCT r.source, p.model, p.inputs, p.mode, r.run_id, r.preset, r.finished_at, r.started_at
            FROM predictions AS p JOIN runs AS r USING (run_id)
            WHERE r.status = 'complete' AND ($source IS NULL OR r.source = $source)
            QUALIFY dense_rank() OVER (
                PARTITION BY r.source, p.model, p.inputs, p.mode
                ORDER BY r.finished_at DESC NULLS LAST, r.started_at DESC, r.run_id DESC
            ) = 1
        )
        SELECT v.run_id, v.source, v.preset, p.model, p.inputs, p.mode, i.split,
               count(*), count(*) FILTER (p.schema_valid)
        FROM variants AS v
        JOIN predictions AS p USING (run_id, model, inputs, mode)
        JOIN present_items AS i ON i.source = v.source AND i.item_id = p.item_id
        GROUP BY ALL ORDER BY v.source, p.model, p.inputs, p.mode, i.split
        """,
        {"source": source},
    ).fetchall()
    return [Extraction(*row) for row in rows]


def _unit_rows(
    connection: duckdb.DuckDBPyConnection, item_ids: Sequence[str], source: str, model: str | None
) -> NDArray[np.float32]:
    """``[N, D]``: rows of length 1, zeros where an item has no vector, ``[N, 0]`` where nothing is stored."""
    chosen = model or only_model(connection, source)
    if chosen is None:
        return np.zeros((len(item_ids), 0), dtype=np.float32)
    found = find_vectors(connection, item_ids, chosen, source)
    matrix = np.zeros((len(item_ids), found.vectors.shape[1]), dtype=np.float32)
    lengths = np.linalg.norm(found.vectors, axis=1, keepdims=True)
    matrix[found.places] = np.divide(found.vectors, lengths, out=np.zeros_like(found.vectors), where=lengths > 0)
    return matrix


def _newest_extraction(
    connection: duckdb.DuckDBPyConnection, source: str, variant: Mapping[str, str], preset: str | None
) -> str:
    """run_id of the newest complete run of ``source`` that holds predictions of the variant."""
    rows = connection.execute(
        """
        SELECT run_id FROM runs
        WHERE source = $source AND status = 'complete' AND ($preset IS NULL OR preset = $preset) AND run_id IN (
            SELECT run_id FROM predictions WHERE model = $model AND inputs = $inputs AND mode = $mode
        )
        ORDER BY finished_at DESC NULLS LAST, started_at DESC, run_id DESC LIMIT 1
        """,
        {"source": source, "preset": preset, **variant},
    ).fetchall()
    if not rows:
        raise FvrecError(
            "nothing has been extracted with this model yet: `fvrec run` does it",
            where=f"source {source}" + (f", preset {preset}" if preset else ""),
            found=", ".join(f"{name} {value}" for name, value in variant.items()),
        )
    return str(rows[0][0])
