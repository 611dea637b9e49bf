"""Rows and their photos -> items: decode, hash, group, split, and account for every row."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from fvrec.catalog.grouping import place
from fvrec.catalog.model import Catalog
from fvrec.errors import FvrecError
from fvrec.imaging import IMAGE_MISSING, Inspection, inspect_image
from fvrec.parallel import Progress, Sized, map_in_processes
from fvrec.records import Item, Quarantined
from fvrec.sources.base import RawRow, Source

_PROBLEMS = {
    "missing_id": "the id is empty",
    "duplicate_id": "an earlier row has this id",
    "path_outside": "its photo lies outside the raw folder",
    IMAGE_MISSING: "its photo's path cannot be followed",
}


def build(source: Source, *, root: Path, workers: int = 2, progress: Progress = iter) -> Catalog:
    """Read every row of ``source``, decode and hash its photo in ``workers`` processes, group and split.

    root: image paths below it are kept relative to it. progress: wraps photos read and drawn.
    A bad row is quarantined and the rest goes on. FvrecError when the source is not there, or nothing is usable.
    """
    source.discover()
    source.prepare(progress)
    rows, quarantined = _admit(source, root)
    rows_in = len(rows) + len(quarantined)
    inspections = map_in_processes(inspect_image, [row.image_path for row in rows], workers=workers)
    kept: list[tuple[RawRow, Inspection]] = []
    for row, inspection in zip(rows, progress(Sized(inspections, len(rows))), strict=True):
        if inspection.reason:
            quarantined.append(
                Quarantined(
                    source.name, _shown(row.image_path, root), inspection.reason, f"{row.item_id}: {inspection.detail}"
                )
            )
        else:
            kept.append((row, inspection))
    if not kept:
        reasons = sorted({rejected.reason for rejected in quarantined})
        raise FvrecError("no usable product", where=source.raw_dir, found=f"{rows_in} rows, rejected: {reasons}")
    return Catalog(tuple(_items(source, kept, root)), tuple(quarantined), rows_in)


def _admit(source: Source, root: Path) -> tuple[list[RawRow], list[Quarantined]]:
    """Rows whose id is new and whose photo path stays inside the raw folder; the others with their reason."""
    base = source.raw_dir.resolve()
    seen: set[str] = set()
    rows: list[RawRow] = []
    quarantined: list[Quarantined] = []
    for row in source.rows():
        if isinstance(row, Quarantined):
            quarantined.append(row)
            continue
        problem = _problem(row, base, seen)
        if problem:
            quarantined.append(
                Quarantined(
                    source.name, _shown(row.image_path, root), problem, f"{row.item_id[:80]}: {_PROBLEMS[problem]}"
                )
            )
        else:
            rows.append(row)
        seen.add(row.item_id)
    return rows, quarantined


def _shown(path: Path, root: Path) -> str:
    """The path as records hold it: relative below the root, absolute elsewhere."""
    # Lexical: a folder that is a link below the root is still below it.
    absolute, home = Path(os.path.abspath(path)), Path(os.path.abspath(root))
    return str(absolute.relative_to(home) if absolute.is_relative_to(home) else absolute)


def _problem(row: RawRow, base: Path, seen: set[str]) -> str:
    if not row.item_id:
        return "missing_id"
    if row.item_id in seen:
        return "duplicate_id"
    try:
        inside = row.image_path.resolve().is_relative_to(base)
    except (OSError, RuntimeError, ValueError):
        return IMAGE_MISSING
    return "" if inside else "path_outside"


def _items(source: Source, kept: Sequence[tuple[RawRow, Inspection]], root: Path) -> Iterator[Item]:
    placements = place([row.group_key for row, _ in kept], [inspection.sha256 for _, inspection in kept])
    for (row, inspection), placement in zip(kept, placements, strict=True):
        yield Item(
            item_id=row.item_id,
            source=source.name,
            group_id=placement.group_id,
            split=placement.split,
            image_path=_shown(row.image_path, root),
            image_sha256=inspection.sha256,
            title=row.title,
            description=row.description,
            raw=row.raw,
            attributes=row.attributes,
        )
