"""Readings as a Parquet file, whole: what a worker hands back where rows are many."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fvrec.artifacts import staged
from fvrec.records import Prediction
from fvrec.schema import FIELDS
from fvrec.vlm.decoding_types import Cut, FieldScores, Reading

_TEXTS = ("item_id", "model", "inputs", "mode", "raw_output", "error", "error_class")
_FLAGS = ("json_valid", "schema_valid")
_CUT = pa.struct([("text", pa.string()), ("length", pa.int64()), ("kept", pa.int64())])
TABLE = pa.schema(
    [
        *((name, pa.string()) for name in _TEXTS),
        *((name, pa.bool_()) for name in _FLAGS),
        *((name, pa.string()) for name in FIELDS),
        *((f"{name}_confidence", pa.float64()) for name in FIELDS),
        *((f"{name}_log_probs", pa.list_(pa.float32())) for name in FIELDS),
        *((f"{name}_greedy", pa.int32()) for name in FIELDS),
        ("cuts", pa.list_(_CUT)),
    ]
)
"""A row a reading. A field's value, confidence and scores are null where the reading has none."""


def write_readings(path: Path, readings: Sequence[Reading]) -> None:
    """Write the file whole, in the place of any that is there."""
    with staged(path) as temporary:
        pq.write_table(pa.Table.from_pylist([_row(one) for one in readings], schema=TABLE), temporary)


def read_readings(path: Path) -> list[Reading]:
    """What ``write_readings`` wrote, in its order, every number to the bit."""
    return [_reading(row) for row in pq.read_table(path, schema=TABLE).to_pylist()]


def _row(reading: Reading) -> dict[str, Any]:
    said, scores = reading.prediction, reading.scores
    return {
        **{name: getattr(said, name) for name in (*_TEXTS, *_FLAGS)},
        **said.attributes,
        **{f"{name}_confidence": value for name, value in said.confidence.items()},
        **({} if scores is None else {f"{name}_log_probs": values for name, values in scores.log_probs.items()}),
        **({} if scores is None else {f"{name}_greedy": index for name, index in scores.greedy.items()}),
        "cuts": [{"text": cut.text, "length": cut.length, "kept": cut.kept} for cut in reading.cuts],
    }


def _reading(row: dict[str, Any]) -> Reading:
    prediction = Prediction(
        **{name: row[name] for name in (*_TEXTS, *_FLAGS)},
        attributes=_present(row, ""),
        confidence=_present(row, "_confidence"),
    )
    logs, greedy = _present(row, "_log_probs"), _present(row, "_greedy")
    scores = FieldScores({name: np.array(one, dtype=np.float32) for name, one in logs.items()}, greedy)
    return Reading(prediction, scores if logs else None, tuple(Cut(**cut) for cut in row["cuts"]))


def _present(row: dict[str, Any], suffix: str) -> dict[str, Any]:
    return {name: row[name + suffix] for name in FIELDS if row[name + suffix] is not None}
