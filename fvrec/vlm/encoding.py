"""The feature cache filled by workers: each writes its own shards into the cache's folder, which all of them see."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fvrec.errors import FvrecError
from fvrec.parallel import Runner, cut, in_order
from fvrec.vlm.features import BATCH, SHARD_ROWS, FeatureCache, Progress, photo_of
from fvrec.vlm.shards import index_of
from fvrec.vlm.towers import Tower, load_tower

_open = threading.local()


@dataclass(frozen=True)
class TowerFiles:
    """Which tower, as ``load_tower`` takes it, and its digest: a worker that has other weights must not encode."""

    name: str
    pool: int
    weights: Path | None
    digest: str

    def tower(self) -> Tower:
        """Loaded once a worker. FvrecError when it is not the one that was meant."""
        if getattr(_open, "files", None) != self:
            tower = load_tower(self.name, pool=self.pool, weights=self.weights)
            if tower.digest != self.digest:
                raise FvrecError("a worker has other weights of the vision tower", where=self.weights, found=self.name)
            _open.files, _open.tower = self, tower
        found: Tower = _open.tower
        return found


@dataclass(frozen=True)
class PhotoShard:
    """Photos to encode: hash -> file, and the cache's shards to make of which keys. ``caches``: all towers' folder."""

    tower: TowerFiles
    caches: Path
    images: Mapping[str, Path]
    shards: Mapping[Path, Sequence[str]]


def encode_missing(
    cache: FeatureCache,
    images: Mapping[str, Path],
    tower: TowerFiles,
    runner: Runner,
    progress: Progress = iter,
    *,
    views: Sequence[str] = (),
) -> int:
    """``cache.ensure`` on a runner: the same batches, so the same features. FvrecError as there.

    The names of the shards are drawn here: a worker that does a shard of work again replaces what the lost one wrote.
    """
    missing = cache.missing(images, views)
    work = [
        PhotoShard(
            tower,
            cache.directory.parent.absolute(),
            {sha256: images[sha256].absolute() for sha256 in (photo_of(key) for key in keys)},
            {shard.absolute(): part for shard, part in cache.new_shards(keys).items()},
        )
        for keys in cut(missing, least=BATCH, most=16 * SHARD_ROWS)
    ]
    for made in progress(in_order(runner, encode_shard, work)):
        for shard in made:
            cache.take(shard)
    return len(missing)


def encode_shard(work: PhotoShard) -> list[Path]:
    """Make the shards that are not there yet; returns all of them. FvrecError as ``FeatureCache.ensure``."""
    lacking = {shard: keys for shard, keys in work.shards.items() if not index_of(shard).exists()}
    if lacking:
        FeatureCache(work.caches, work.tower.tower()).encode(lacking, work.images)
    return list(work.shards)
