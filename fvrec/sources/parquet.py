"""A Parquet table as the rows that a CSV would give: text by column, a batch in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fvrec.errors import FvrecError
from fvrec.sources.table import Line, check_columns, clean

_BATCH = 2048


def read_header(path: Path, needed: Sequence[str]) -> tuple[str, ...]:
    """The columns; FvrecError when the file is no Parquet or lacks one of ``needed``."""
    header = tuple(_open(path).schema_arrow.names)
    check_columns(header, needed, path)
    return header


def read_lines(path: Path, header: Sequence[str]) -> Iterator[Line]:
    """Every row. NaN and Infinity are empty; a whole float is an integer (an id that went through pandas).

    A list is joined by commas.
    """
    file = _open(path)
    number = 0
    try:
        for batch in file.iter_batches(batch_size=_BATCH, columns=list(header)):
            for row in batch.to_pylist():
                number += 1
                yield Line(number, {name: clean(_text(row[name])) for name in header})
    except (pa.ArrowException, OSError) as error:
        raise FvrecError("the table cannot be read", where=path, found=str(error)) from error


def _open(path: Path) -> pq.ParquetFile:
    if not path.is_file():
        raise FvrecError("the table is missing", where=path, allowed="a Parquet file")
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise FvrecError("not a Parquet file", where=path, found=str(error)) from error


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""  # NaN and Infinity are what pandas makes of a gap or of a division by zero
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
