"""SFT samples as Parquet in the layout that MiniMind-V trains from, so that they can be carried there.

Layout: ``VLMDataset`` in ``dataset/lm_dataset.py`` of github.com/jingyaogong/minimind-v: ``conversations``, a JSON
string of ``[{"role", "content"}]`` whose ``<image>`` stands for the image's tokens, and ``image_bytes``, a JPEG. A
conversation without an image carries an 8 x 8 black one, as that project's own pure-text rows do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from fvrec.artifacts import staged
from fvrec.errors import FvrecError
from fvrec.imaging import ImageError, read_image
from fvrec.parallel import Progress
from fvrec.vlm.samples import Sample, read_samples, to_line

COLUMNS = pa.schema([pa.field("conversations", pa.string(), nullable=False),
                     pa.field("image_bytes", pa.binary(), nullable=False)])  # fmt: skip
ROW_GROUP = 512
QUALITY = 92


@dataclass(frozen=True)
class ExportCount:
    """What one file holds: rows, how many of them show a photo, and of how many distinct items they are."""

    rows: int
    with_photo: int
    items: int


def export_parquet(
    samples: Path, path: Path, *, root: Path, image_size: int = 256, progress: Progress = iter
) -> ExportCount:
    """Write a ``data/sft`` file as Parquet, a row group of ``ROW_GROUP`` samples in memory at a time.

    root: where the samples' relative image paths begin. image_size: photos are squares of so many pixels (SigLIP2 at
    patch 32 takes 256). FvrecError when the file is missing or one of its photos cannot be read.
    """
    if not samples.is_file():
        raise FvrecError("there are no SFT samples yet", where=samples, allowed="`fvrec sft-data` makes them")
    with_photo = rows = 0
    items: set[str] = set()
    path.parent.mkdir(parents=True, exist_ok=True)
    encoder = _Encoder(root, image_size)
    with staged(path) as unfinished, pq.ParquetWriter(unfinished, COLUMNS, compression="zstd") as writer:
        waiting = iter(progress(read_samples(samples)))
        while group := list(islice(waiting, ROW_GROUP)):
            writer.write_table(_table(group, encoder))
            rows += len(group)
            with_photo += sum(bool(sample.image_path) for sample in group)
            items.update(sample.item_id for sample in group)
    return ExportCount(rows, with_photo, len(items))


class _Encoder:
    """Photos as square JPEGs. The last one is kept: an item's samples follow one another."""

    def __init__(self, root: Path, size: int) -> None:
        self._root, self._size = root, size
        self._black = _jpeg(Image.new("RGB", (8, 8)))
        self._last = ("", b"")

    def __call__(self, sample: Sample) -> bytes:
        if not sample.image_path:
            return self._black
        if self._last[0] != sample.image_path:
            self._last = (sample.image_path, self._read(sample))
        return self._last[1]

    def _read(self, sample: Sample) -> bytes:
        try:
            photo = read_image(self._root / sample.image_path, at_least=self._size)
        except ImageError as error:
            raise FvrecError(
                f"a sample's photo cannot be read: {error}", where=sample.image_path, allowed="ingest again"
            ) from error
        return _jpeg(photo.resize((self._size, self._size), Image.Resampling.BICUBIC))


def read_parquet(path: Path) -> Iterator[tuple[list[dict[str, str]], bytes]]:
    """Conversation and JPEG of each row, a row group in memory at a time."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROW_GROUP):
            for row in batch.to_pylist():
                yield json.loads(row["conversations"]), row["image_bytes"]


def _table(group: Iterable[Sample], encode: _Encoder) -> pa.Table:
    turns, photos = [], []
    for sample in group:
        turns.append(json.dumps(json.loads(to_line(sample))["conversations"], ensure_ascii=False))
        photos.append(encode(sample))
    return pa.table([turns, photos], schema=COLUMNS)


def _jpeg(photo: Image.Image) -> bytes:
    file = BytesIO()
    photo.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
