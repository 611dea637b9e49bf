"""A model's readings made by workers: whole batches a shard, one Parquet file of readings from each."""

from __future__ import annotations

import platform
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fvrec.artifacts import digest_json, digest_tree
from fvrec.errors import FvrecError
from fvrec.parallel import Progress, Runner, cut, in_order
from fvrec.records import Mode
from fvrec.vlm.bundle import ModelFiles
from fvrec.vlm.decoding_types import Reading
from fvrec.vlm.encoding import TowerFiles
from fvrec.vlm.extract import Extractor
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.reading_table import read_readings, write_readings
from fvrec.vlm.samples import Sample

_open = threading.local()
_loading = threading.Lock()
"""transformers changes its own module's state while it loads: two threads at once leave weights untied."""


@dataclass(frozen=True)
class SealedModel:
    """A model's files by absolute paths, and the digest of all of them: a worker must not read with others."""

    files: ModelFiles
    digest: str

    @classmethod
    def of(cls, files: ModelFiles) -> SealedModel:
        """With the digest of what lies there now."""
        adapter = None if files.adapter is None else files.adapter.absolute()
        absolute = replace(files, base=files.base.absolute(), tokenizer=files.tokenizer.absolute(), adapter=adapter)
        return cls(absolute, _digest(absolute))

    def open(self) -> Extractor:
        """The model, loaded now. FvrecError on a bad folder, or when the files are not the sealed ones."""
        extractor = Extractor.of(self.files)
        # After loading: what was replaced meanwhile is then told as well.
        if (found := _digest(self.files)) != self.digest:
            raise FvrecError(
                "a worker finds other files of the model",
                where=f"{self.files.adapter or self.files.base} on {platform.node()}",
                found=found[:12],
                allowed=self.digest[:12],
            )
        return extractor


def _digest(files: ModelFiles) -> str:
    parts = {"base": files.base, "tokenizer": files.tokenizer, "adapter": files.adapter}
    return digest_json({name: digest_tree(path) for name, path in parts.items() if path is not None})


@dataclass(frozen=True)
class Part:
    """Samples to be read in one mode."""

    samples: Sequence[Sample]
    mode: Mode


@dataclass(frozen=True)
class ReadingShard:
    """Batches to read, each in its mode, and the file that their readings go to. ``caches``: all towers' folder."""

    model: SealedModel
    tower: TowerFiles
    caches: Path
    batches: tuple[Part, ...]
    to: Path


def read_spread(
    extractor: Extractor,
    files: ModelFiles,
    tower: TowerFiles,
    cache: FeatureCache,
    parts: Sequence[Part],
    *,
    runner: Runner,
    folder: Path,
    progress: Progress = iter,
) -> list[list[Reading]]:
    """For each part one reading a sample, in order: what ``extractor.read`` gives, batch for batch.

    folder: for the workers' files, which all workers see; the caller removes it.
    """
    model, folder = SealedModel.of(files), folder.absolute()
    batches = [(number, rows) for number, part in enumerate(parts) for rows in extractor.plan(part.samples)]
    pieces = cut(batches, least=1, most=len(batches))
    shards = [
        ReadingShard(
            model,
            tower,
            cache.directory.parent.absolute(),
            tuple(Part([parts[number].samples[row] for row in rows], parts[number].mode) for number, rows in piece),
            folder / f"readings-{at:05}.parquet",
        )
        for at, piece in enumerate(pieces)
    ]
    found: list[dict[int, Reading]] = [{} for _ in parts]
    for piece, made in zip(pieces, progress(in_order(runner, read_shard, shards)), strict=True):
        readings = iter(read_readings(made))
        for number, rows in piece:
            found[number].update((row, next(readings)) for row in rows)
    return [[readings[row] for row in range(len(part.samples))] for readings, part in zip(found, parts, strict=True)]


def read_shard(shard: ReadingShard) -> Path:
    """Read the batches, write their readings one after the other, say where. Done again it writes the same file."""
    extractor, cache = _extractor_of(shard.model), FeatureCache(shard.caches, shard.tower.tower())
    write_readings(
        shard.to,
        [one for part in shard.batches for one in extractor.read_together(part.samples, cache, part.mode)],
    )
    return shard.to


def _extractor_of(model: SealedModel) -> Extractor:
    """Loaded once a thread: a tokenizer is not to be shared by threads."""
    if getattr(_open, "model", None) != model:
        with _loading:
            _open.extractor, _open.model = model.open(), model
    found: Extractor = _open.extractor
    return found
