"""A whole catalogue through the model, part by part: any folder of photos or any source, resumed after a kill."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

from fvrec.errors import FvrecError
from fvrec.records import Inputs, Quarantined
from fvrec.schema import FIELDS, SCHEMA_VERSION
from fvrec.sources import Source
from fvrec.vlm.calibrate import Calibration
from fvrec.vlm.decoding_types import Reading
from fvrec.vlm.extract import Extractor
from fvrec.vlm.parts import KEY, Parts
from fvrec.vlm.weights import model_digest

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
PART_ROWS = 512
"""Items a part: what a kill can cost."""

One = TypeVar("One")


@dataclass(frozen=True)
class Product:
    """One item to read. ``problem``: why it cannot be read, known before any model sees it."""

    key: str
    image: Path
    title: str = ""
    description: str = ""
    problem: str = ""


Read = Callable[[Sequence[Product]], Sequence[Reading]]
"""Reads some products; one Reading each, in order."""


@dataclass(frozen=True)
class Streamed:
    """What one call did. rows: in the table now; read: by this call; errors: of those; repeated: keys met again."""

    rows: int
    read: int
    errors: int
    repeated: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Items read a second."""
        return self.read / self.seconds if self.seconds else 0.0


def in_folder(folder: Path) -> list[Product]:
    """Every picture below ``folder`` by name; its key is its relative path. FvrecError when there is none."""
    if not folder.is_dir():
        raise FvrecError("no such folder", where=folder)
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise FvrecError("no pictures there", where=folder, allowed=sorted(SUFFIXES))
    return [Product(_printable(path.relative_to(folder)), path) for path in found]


def _printable(path: Path) -> str:
    """The path as text; bytes of a name that is no UTF-8 are written as ``\\xe9``, so that names stay distinct."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def of_source(source: Source) -> Iterator[Product]:
    """Every row of a source, in its order; a row that the source itself rejects keeps its place, with the reason."""
    for number, row in enumerate(source.rows()):
        if isinstance(row, Quarantined):
            yield Product(f"(row {number + 1})", Path(row.path), problem=f"{row.reason}: {row.detail}")
        else:
            yield Product(row.item_id, row.image_path, row.title, row.description)


def stream(
    products: Iterable[Product],
    read: Read,
    parts: Parts,
    *,
    advance: Callable[[int], None] = lambda _: None,
    part_rows: int = PART_ROWS,
) -> Streamed:
    """Read what the table lacks, and finish it. Memory does not grow with the pictures: a part is held at a time.

    advance: told how many more items are in the table (those of earlier runs first). FvrecError when there is nothing
    to read at all.
    """
    started = perf_counter()
    counts = {"read": 0, "errors": 0, "repeated": 0}
    for chunk in _chunks(_lacking(products, parts, counts, advance), part_rows):
        rows = _rows(chunk, read)
        parts.append(rows)
        counts["read"] += len(rows)
        counts["errors"] += sum(bool(row["error"]) for row in rows)
        advance(len(rows))
    if not parts.done:
        raise FvrecError("there is nothing to read", where=parts.out)
    rows_in_all = parts.finish()
    return Streamed(rows_in_all, **counts, seconds=perf_counter() - started)


def reader_of(extractor: Extractor, inputs: Inputs) -> Read:
    """Reads products in mode ``constrained``, showing the model what the variant says."""

    def read(products: Sequence[Product]) -> Sequence[Reading]:
        images = None if inputs == "title" else [product.image for product in products]
        titles = None if inputs == "image" else [product.title for product in products]
        descriptions = None if inputs == "image" else [product.description for product in products]
        return extractor.extract(images, titles, descriptions)

    return read


def identity_of(extractor: Extractor, inputs: Inputs, origin: str) -> dict[str, str]:
    """What decides the rows of a table, apart from the products: weights, calibration, inputs, where they come from."""
    calibration = extractor.calibration
    return {
        "weights": model_digest(extractor.model),
        "calibration": calibration.digest if isinstance(calibration, Calibration) else "",
        "inputs": inputs,
        "from": origin,
        "schema": str(SCHEMA_VERSION),
    }


def _lacking(
    products: Iterable[Product], parts: Parts, counts: dict[str, int], advance: Callable[[int], None]
) -> Iterator[Product]:
    earlier = frozenset(parts.done)
    met: set[str] = set()
    for product in products:
        if product.key in met:
            counts["repeated"] += 1
        elif product.key in earlier:
            advance(1)
        else:
            yield product
        met.add(product.key)


def _rows(chunk: Sequence[Product], read: Read) -> list[dict[str, Any]]:
    """One row a product, in order; the model sees those that can be read."""
    readable = [product for product in chunk if not product.problem]
    readings = dict(zip((p.key for p in readable), read(readable) if readable else (), strict=True))
    return [_row(product, readings.get(product.key)) for product in chunk]


def _row(product: Product, reading: Reading | None) -> dict[str, Any]:
    attributes = reading.attributes if reading else {}
    confidence = reading.confidence if reading else {}
    return {
        KEY: product.key,
        "image_path": _printable(product.image),
        "title": product.title,
        **{name: attributes.get(name) for name in FIELDS},
        **{f"{name}_confidence": confidence.get(name) for name in FIELDS},
        "error": reading.error if reading else product.problem,
        "shortened": bool(reading and reading.cuts),
    }


def _chunks(items: Iterable[One], size: int) -> Iterator[list[One]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
