"""Rows and their photos -> items: decode, hash, group, split, and account for every row."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from fvrec.catalog.admission import Admitted, Gate
from fvrec.catalog.changing import changes_since
from fvrec.catalog.columns import Hashes, Texts
from fvrec.catalog.grouping import arrange
from fvrec.catalog.inspecting import Inspector, Seen
from fvrec.catalog.items import Columns, SpooledItems
from fvrec.catalog.known import KnownPhotos
from fvrec.catalog.model import Catalog
from fvrec.catalog.past import Past
from fvrec.catalog.spool import DIGEST_BYTES, Spool
from fvrec.catalog.traits import Traits
from fvrec.errors import FvrecError
from fvrec.imaging import IMAGE_MISSING
from fvrec.parallel import Progress, Runner, Sized
from fvrec.records import Placed, Quarantined, utc_now
from fvrec.sources.base import RawRow, Source

NO_HISTORY: Mapping[str, Placed] = MappingProxyType({})


@dataclass
class _Rows:
    """The admitted rows of a source: what they say is in the spool, what is needed at once in columns."""

    spool: Spool
    ids: Texts = field(default_factory=Texts)
    group_keys: Texts = field(default_factory=Texts)
    digests: Hashes = field(default_factory=lambda: Hashes(DIGEST_BYTES))
    missing: set[int] = field(default_factory=set)
    quarantined: list[Quarantined] = field(default_factory=list)
    count_in: int = 0


@dataclass
class _Kept:
    """The rows whose photo can be read, beside their number in the spool."""

    row: array[int] = field(default_factory=lambda: array("q"))
    ids: Texts = field(default_factory=Texts)
    group_keys: Texts = field(default_factory=Texts)
    digests: Hashes = field(default_factory=lambda: Hashes(DIGEST_BYTES))
    traits: Traits = field(default_factory=Traits.empty)


def build(
    source: Source,
    *,
    root: Path,
    workers: int = 2,
    progress: Progress = iter,
    history: Mapping[str, Placed] = NO_HISTORY,
    cache: Path | None = None,
    limit: int | None = None,
    runner: Runner | None = None,
) -> Catalog:
    """Read every row of ``source``, decode and hash its photo in ``workers`` processes, group and split.

    root: image paths below it are kept relative to it. progress: wraps photos read and drawn. history: item_id -> what
    earlier ingests of this source placed; none of it moves. cache: folder that remembers photos from one ingest to the
    next, and holds the rows while they are looked at. limit: how many rows ``source`` was asked for; when it gave as
    many, known items that are not among them are left out, not vanished. runner: reads the photos in the place of those
    processes. A bad row is quarantined and the rest goes on.
    FvrecError when the source is not there, nothing is usable, or the cache cannot be written.
    """
    source.discover()
    source.prepare(progress)
    known = KnownPhotos(None if cache is None else cache / "photos" / f"{source.name}.npz")
    inspector = Inspector(known, workers, runner)
    try:
        rows = _admit(source, root, inspector, known, Spool(cache))
        kept = _keep(source, rows, inspector, progress)
    finally:
        inspector.close()
    known.save()
    if not len(kept.row):
        reasons = sorted({rejected.reason for rejected in rows.quarantined})
        raise FvrecError("no usable product", where=source.raw_dir, found=f"{rows.count_in} rows, rejected: {reasons}")
    sampled = limit is not None and rows.count_in >= limit
    return _catalog(source.name, rows, kept, history, inspector.unread, sampled=sampled)


def _admit(source: Source, root: Path, inspector: Inspector, known: KnownPhotos, spool: Spool) -> _Rows:
    """Every row into the spool or the quarantine; its photo to the inspector at once, while others come in."""
    gate, rows = Gate(source.name, source.raw_dir, root), _Rows(spool)
    for row in source.rows():
        rows.count_in += 1
        admitted = gate.admit(row) if isinstance(row, RawRow) else row
        if not isinstance(admitted, Admitted):
            rows.quarantined.append(admitted)
            continue
        if admitted.status is None:
            rows.missing.add(len(spool))
        else:
            inspector.add(admitted.path, known.key(admitted.name, admitted.status))
        rows.digests.append(spool.append(admitted.row, admitted.shown))
        rows.ids.append(admitted.row.item_id)
        rows.group_keys.append(admitted.row.group_key)
    spool.finish()
    return rows


def _keep(source: Source, rows: _Rows, inspector: Inspector, progress: Progress) -> _Kept:
    """The rows whose photo is a photo; the others into the quarantine."""
    seen, kept = inspector.results(), _Kept()
    absent = Seen(reason=IMAGE_MISSING, detail="no such file")
    found = (absent if row in rows.missing else next(seen) for row in range(len(rows.spool)))
    for row, photo in enumerate(progress(Sized(found, len(rows.spool)))):
        item_id, group_key = rows.ids[row], rows.group_keys[row]
        if photo.reason:
            path, detail = rows.spool[row].image_path, f"{item_id}: {photo.detail}"
            rows.quarantined.append(Quarantined(source.name, path, photo.reason, detail))
            continue
        kept.row.append(row)
        kept.ids.append(item_id)
        kept.group_keys.append(group_key)
        kept.digests.append(rows.digests[row])
        kept.traits.append(group_key, photo.sha256, photo.phash)
    return kept


def _catalog(
    name: str, rows: _Rows, kept: _Kept, history: Mapping[str, Placed], photos_read: int, *, sampled: bool
) -> Catalog:
    past = Past.of(history, kept.ids, kept.traits)
    arrangement = arrange(kept.group_keys, past)
    numbers = np.frombuffer(kept.row, dtype=np.int64)
    columns = Columns(numbers, kept.ids, kept.traits.photos, kept.traits.looks, kept.digests, arrangement)
    return Catalog(
        items=SpooledItems(name, rows.spool, columns, utc_now()),
        quarantined=tuple(rows.quarantined),
        rows_in=rows.count_in,
        near_copies=arrangement.near_copies,
        photos_read=photos_read,
        changes=changes_since(history, columns, sampled=sampled),
    )
