"""Items and predictions with their attributes, read on an open connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import duckdb

from fvrec.records import AttributeValue, Item, Prediction
from warehouse.attributes import wide
from warehouse.decode import select, where

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def read_items(
    connection: duckdb.DuckDBPyConnection, source: str, splits: Sequence[str] | None, *, vanished: bool = False
) -> list[Item]:
    """Items of ``source``, of these splits or of all, by item_id; also those that are gone when ``vanished``."""
    chosen = {"source": source, "split": None if splits is None else list(splits)}
    relation = "items" if vanished else "present_items"
    rows = select(connection, Item, relation, order=["item_id"], leave_out=["attributes"], **chosen)
    attributes = wide(connection, "item_attributes", ("value", "origin"), ("item_id",), "source = ?", [source])
    return [Item(**row, attributes=_with_origin(attributes[row["item_id"],])) for row in rows]


def read_predictions(
    connection: duckdb.DuckDBPyConnection, run_id: str, model: str | None, inputs: str | None, mode: str | None
) -> list[Prediction]:
    """The run's predictions, of one variant or of all, by model, inputs, mode and item_id."""
    chosen = {"run_id": run_id, "model": model, "inputs": inputs, "mode": mode}
    key = ("model", "inputs", "mode", "item_id")
    rows = select(connection, Prediction, "predictions", order=key, leave_out=["attributes", "confidence"], **chosen)
    condition, parameters = where(chosen)
    answers = wide(connection, "predicted_attributes", ("value", "confidence"), key, condition, parameters)
    empty = {"value": _NOTHING, "confidence": _NOTHING}
    found = [answers.get(tuple(row[name] for name in key), empty) for row in rows]
    return [
        Prediction(**row, attributes=answer["value"], confidence=answer["confidence"])
        for row, answer in zip(rows, found, strict=True)
    ]


def _with_origin(columns: dict[str, dict[str, Any]]) -> dict[str, AttributeValue]:
    origins = columns["origin"]
    return {field: AttributeValue(value, origins[field]) for field, value in columns["value"].items()}
