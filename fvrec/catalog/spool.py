"""What sources say of products, on disk instead of in memory: a million rows are one file and a column of places."""

from __future__ import annotations

import json
import math
import os
import tempfile
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fvrec.errors import FvrecError
from fvrec.records import AttributeValue, Origin
from fvrec.schema import FIELDS
from fvrec.sources.base import RawRow

DIGEST_BYTES = 16
_AT_ONCE = 1024


@dataclass(frozen=True)
class Said:
    """One row as its source tells it. image_path: as records hold it."""

    item_id: str
    image_path: str
    group_key: str
    title: str
    description: str
    raw: Mapping[str, Any]
    attributes: Mapping[str, AttributeValue]


class Spool:
    """Rows as JSON lines in an unnamed file below ``directory`` (or where the system keeps temporary files).

    The file is gone when the spool is, also after a crash. FvrecError when it cannot be written.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._place = directory or Path(tempfile.gettempdir())
        with _explained(self._place):
            self._place.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=self._place, buffering=1 << 20)  # noqa: SIM115 - lives as long as it
        self._ends = array("q", [0])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def append(self, row: RawRow, image_path: str) -> bytes:
        """Keep the row; the answer is a digest of all that it says, ``DIGEST_BYTES`` long."""
        try:
            attributes = [(row.attributes[field].value, row.attributes[field].origin) for field in FIELDS]
        except KeyError as error:
            raise FvrecError("a row lacks a field of the schema", where=row.item_id, found=error.args[0]) from error
        said = (row.item_id, image_path, row.group_key, row.title, row.description, row.raw, attributes)
        line = _encode(said)
        with _explained(self._place):
            self._file.write(line)
        self._ends.append(self._ends[-1] + len(line))
        return blake2b(line, digest_size=DIGEST_BYTES).digest()

    def finish(self) -> None:
        """All rows are in: they can be read."""
        with _explained(self._place):
            self._file.flush()

    def __getitem__(self, row: int) -> Said:
        start, end = self._ends[row], self._ends[row + 1]
        return _said(os.pread(self._file.fileno(), end - start, start))

    def __iter__(self) -> Iterator[Said]:
        for first in range(0, len(self), _AT_ONCE):
            ends = self._ends[first : first + _AT_ONCE + 1]
            block = os.pread(self._file.fileno(), ends[-1] - ends[0], ends[0])
            for start, end in pairwise(ends):
                yield _said(block[start - ends[0] : end - ends[0]])


def _said(line: bytes) -> Said:
    item_id, image_path, group_key, title, description, raw, attributes = json.loads(line)
    found = {field: _attribute(value, origin) for field, (value, origin) in zip(FIELDS, attributes, strict=True)}
    return Said(item_id, image_path, group_key, title, description, raw, found)


def _attribute(value: str, origin: Origin) -> AttributeValue:
    """One object for all that say the same: a million products hold ten million of them."""
    key = (value, origin)
    if key not in _ATTRIBUTES:
        _ATTRIBUTES[key] = AttributeValue(value, origin)
    return _ATTRIBUTES[key]


_ATTRIBUTES: dict[tuple[str, str], AttributeValue] = {}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.isoformat() if isinstance(value, date) else str(value)


_ENCODER = json.JSONEncoder(separators=(",", ":"), default=_plain, allow_nan=False)


def _encode(said: tuple[object, ...]) -> bytes:
    """As JSON that any reader accepts: a number that is not finite is null."""
    try:
        return _ENCODER.encode(said).encode()
    except ValueError:
        return _ENCODER.encode(_finite(said)).encode()


def _finite(value: Any) -> Any:
    value = value if isinstance(value, str | float) else _plain_array(value)
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain_array(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


@contextmanager
def _explained(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FvrecError(f"cannot write: {error.strerror or error}", where=place) from error
