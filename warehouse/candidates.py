"""What a reranker chooses from: items, what a model read from them, and their vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.records import Item
from fvrec.schema import FIELDS, UNKNOWN
from warehouse.attributes import wide
from warehouse.entities import read_items
from warehouse.vectors import read_vectors

_NOTHING_READ: Mapping[str, Mapping[str, object]] = {
    "value": dict.fromkeys(FIELDS, UNKNOWN),
    "confidence": dict.fromkeys(FIELDS, 0.0),
}


@dataclass(frozen=True)
class Candidates:
    """``N`` items in a fixed order (by item_id), and beside each what the model of ``run_id`` read from it.

    attributes: field -> predicted value; confidence: field -> [0, 1]; both hold all ten fields. An item without a valid
    answer is ``unknown`` with confidence 0 throughout. embeddings: ``[N, D]`` float32.
    """

    source: str
    run_id: str
    items: tuple[Item, ...]
    attributes: tuple[Mapping[str, str], ...]
    confidence: tuple[Mapping[str, float], ...]
    embeddings: NDArray[np.float32]

    @property
    def item_ids(self) -> tuple[str, ...]:
        """The items' names, in order."""
        return tuple(item.item_id for item in self.items)


def read_candidates(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    splits: Sequence[str],
    variant: Mapping[str, str],
    *,
    preset: str | None,
    embedding_model: str | None,
) -> Candidates:
    """See ``Warehouse.candidates``. ``variant``: model, inputs and mode."""
    items = read_items(connection, source, splits)
    if not items:
        raise FvrecError("the catalogue has no such items: run `fvrec ingest`", where=source, found=list(splits))
    run_id = _newest_extraction(connection, source, variant, preset)
    key = {"run_id": run_id, **variant}
    condition = " AND ".join(f'"{name}" = ?' for name in key)
    found = wide(
        connection, "predicted_attributes", ("value", "confidence"), ("item_id",), condition, list(key.values())
    )
    answers = [found.get((item.item_id,), _NOTHING_READ) for item in items]
    return Candidates(
        source=source,
        run_id=run_id,
        items=tuple(items),
        attributes=tuple(answer["value"] for answer in answers),  # type: ignore[misc]
        confidence=tuple(answer["confidence"] for answer in answers),  # type: ignore[misc]
        embeddings=read_vectors(connection, [item.item_id for item in items], embedding_model, source),
    )


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
            "nothing has been extracted with this model yet: run `fvrec extract`",
            where=f"source {source}" + (f", preset {preset}" if preset else ""),
            found=", ".join(f"{name} {value}" for name, value in variant.items()),
        )
    return str(rows[0][0])
