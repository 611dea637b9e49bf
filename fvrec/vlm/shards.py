"""Names of the feature cache's files. Apart from the cache itself, as who clears up needs neither torch nor a tower."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

INDEXES = "shard-*.json"
_INDEX, _ROWS = ".json", ".npy"


def new_shard(directory: Path) -> Path:
    """Where the rows of one more shard go; its name is drawn at random, so that no writer replaces another's."""
    return directory / f"shard-{uuid4().hex}{_ROWS}"


def index_of(shard: Path) -> Path:
    """The hashes of a shard's rows: written after it, so a shard without one is an interrupted write."""
    return shard.with_suffix(_INDEX)


def rows_of(index: Path) -> Path:
    """The rows that an index names."""
    return index.with_suffix(_ROWS)


def shards_without_index(caches: Path) -> Iterator[Path]:
    """Shards in the towers' folders below ``caches`` whose write was cut short: nobody reads them.

    While a process fills a cache its newest shard is one of these for a moment.
    """
    return (shard for shard in caches.glob(f"*/shard-*{_ROWS}") if not index_of(shard).exists())
