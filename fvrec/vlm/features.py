"""Frozen-tower features, computed once per image and kept on disk by image hash.

Layout of ``data/cache/features/<tower>-<digest>/``: append-only shards ``shard-NAME.npy`` (float16 ``[n, T, D]``) with
``shard-NAME.json`` (the n image hashes, an augmented view as ``HASH#VIEW``) written after it. A shard without its JSON
is an interrupted write: ignored.
Each name is drawn at random, so that no writer can replace another's shard (``fvrec/vlm/shards.py``).
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fvrec.artifacts import atomic_write, digest_bytes, staged
from fvrec.errors import FvrecError
from fvrec.vlm.pixels import load_pixels, view_of
from fvrec.vlm.shards import INDEXES, index_of, new_shard, rows_of
from fvrec.vlm.towers import Tower

Progress = Callable[[Iterable[Any]], Iterable[Any]]
SHARD_ROWS = 1024
BATCH = 32
_VIEW_MARK = "#"


def view_key(sha256: str, view: str = "") -> str:
    """Under which name a photo's features lie: its hash alone, or with the name of an augmented view of it."""
    return f"{sha256}{_VIEW_MARK}{view}" if view else sha256


def photo_of(key: str) -> str:
    """The hash of the photo that a key names or shows a view of."""
    return key.partition(_VIEW_MARK)[0]


def photo_pixels(key: str, images: Mapping[str, Path], size: int) -> NDArray[np.uint8]:
    """``[size, size, 3]``: the photo or view that a key names. FvrecError when it cannot be read or is another one.

    Hash and decode the same bytes: what is made of them is of the photo with that hash.
    """
    sha256, _, view = key.partition(_VIEW_MARK)
    file = images[sha256]
    try:
        data = file.read_bytes()
    except OSError as error:
        raise FvrecError(f"photo cannot be read ({error.strerror}): run fvrec run", where=file) from error
    found = digest_bytes(data)
    if found != sha256:
        raise FvrecError("photo changed since ingest: run fvrec run", where=file, found=found, allowed=sha256)
    return load_pixels(io.BytesIO(data), size, where=file, view=view_of(sha256, view))


class FeatureCache:
    """Features of one tower, addressed by the SHA-256 of the image file."""

    def __init__(self, directory: Path, tower: Tower) -> None:
        self.tower = tower
        self.directory = directory / f"{tower.name}-{tower.digest[:16]}"
        self._where: dict[str, tuple[int, int]] = {}
        self._shards: list[NDArray[np.float16]] = []
        for index_file in sorted(self.directory.glob(INDEXES)):
            self._open_shard(index_file)

    @property
    def tower_name(self) -> str:
        return self.tower.name

    def __contains__(self, sha256: object) -> bool:
        return sha256 in self._where

    def ensure(self, images: Mapping[str, Path], progress: Progress = iter, *, views: Sequence[str] = ()) -> int:
        """Encode what is missing of ``images`` (hash -> file) and of these views of them; returns how many were.

        FvrecError when a file is not the photo of that hash any more.
        """
        missing = self.missing(images, views)
        self.encode(self.new_shards(missing), images, progress)
        return len(missing)

    def missing(self, images: Iterable[str], views: Sequence[str] = ()) -> list[str]:
        """Keys of these images and views of them that are not in the cache."""
        keys = (view_key(sha256, view) for sha256 in images for view in ("", *views))
        return [key for key in keys if key not in self._where]

    def new_shards(self, keys: Sequence[str]) -> dict[Path, Sequence[str]]:
        """Names for the shards that these keys take -> which of them."""
        starts = range(0, len(keys), SHARD_ROWS)
        return {new_shard(self.directory): keys[start : start + SHARD_ROWS] for start in starts}

    def encode(
        self, shards: Mapping[Path, Sequence[str]], images: Mapping[str, Path], progress: Progress = iter
    ) -> None:
        """Make these shards of the photos and views of the keys; raises as ``ensure`` does."""
        buffer: list[NDArray[np.float16]] = []
        size = self.tower.image_size
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for shard, batch, last_of_shard in progress(list(_batched(shards))):
                pixels = np.stack(list(pool.map(lambda key: photo_pixels(key, images, size), batch)))
                buffer.append(self.tower.encode(pixels))
                if last_of_shard:
                    self._write_shard(shard, list(shards[shard]), np.concatenate(buffer))
                    buffer = []

    def take(self, shard: Path) -> None:
        """Read from a shard that another process has made in this cache's folder, too."""
        self._open_shard(index_of(shard))

    def put(self, sha256s: Sequence[str], rows: NDArray[np.float16]) -> None:
        """Keep features that were encoded elsewhere by this cache's tower: ``[B, T, D]`` under the B hashes."""
        self._write_shard(new_shard(self.directory), list(sha256s), rows)

    def rows(self, sha256s: Sequence[str]) -> NDArray[np.float16]:
        """``[B, T, D]`` of hashes or view keys, in the order asked. FvrecError for an image that was never encoded."""
        out = np.empty((len(sha256s), self.tower.tokens, sum(self.tower.streams)), dtype=np.float16)
        for row, sha256 in enumerate(sha256s):
            if sha256 not in self._where:
                raise FvrecError("no cached features for an image", where=self.directory, found=sha256)
            shard, position = self._where[sha256]
            out[row] = self._shards[shard][position]
        return out

    def embeddings(self, sha256s: Sequence[str]) -> NDArray[np.float32]:
        """``[B, D]`` item embeddings, see ``pooled``."""
        chunks = [pooled(self.rows(sha256s[i : i + 256]), self.tower) for i in range(0, len(sha256s), 256)]
        return np.concatenate(chunks) if chunks else np.empty((0, self.tower.streams[0]), dtype=np.float32)

    def _write_shard(self, shard: Path, names: list[str], rows: NDArray[np.float16]) -> None:
        with staged(shard) as temporary, temporary.open("wb") as file:
            np.save(file, rows)
        index_file = index_of(shard)
        atomic_write(index_file, json.dumps(names))
        self._open_shard(index_file)

    def _open_shard(self, index_file: Path) -> None:
        names = json.loads(index_file.read_text())
        rows = np.load(rows_of(index_file), mmap_mode="r")
        expected = (len(names), self.tower.tokens, sum(self.tower.streams))
        if rows.shape != expected:
            raise FvrecError("damaged feature cache: delete it and run again", where=index_file, found=rows.shape)
        for position, name in enumerate(names):
            self._where[name] = (len(self._shards), position)
        self._shards.append(rows)


def pooled(features: NDArray[np.float16], tower: Tower) -> NDArray[np.float32]:
    """``[B, T, D]`` -> ``[B, streams[0]]`` float32: mean of the deep stream over the cells, scaled to length 1."""
    mean = features[:, :, : tower.streams[0]].astype(np.float32).mean(axis=1)
    return mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-8)


def _batched(shards: Mapping[Path, Sequence[str]]) -> Iterator[tuple[Path, Sequence[str], bool]]:
    for shard, keys in shards.items():
        for start in range(0, len(keys), BATCH):
            yield shard, keys[start : start + BATCH], start + BATCH >= len(keys)
