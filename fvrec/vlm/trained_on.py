"""What an adapter was trained on, written beside it: so that nobody scores it on products that it has seen."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fvrec.artifacts import atomic_write
from fvrec.config import DRAWN
from fvrec.errors import FvrecError
from fvrec.records import Item

RECORD_FILE = "trained_on.json"


@dataclass(frozen=True)
class TrainingRecord:
    """Photos (SHA-256 of the file) and product groups of the train split. Groups are named within their source.

    The embedded catalogue numbers its designs anew with every seed, so its groups say nothing elsewhere and are not
    kept: there the photo decides alone.
    """

    source: str
    preset: str
    images: frozenset[str]
    groups: frozenset[str]

    @classmethod
    def of(cls, items: Iterable[Item], *, source: str, preset: str) -> TrainingRecord:
        """The record of these items."""
        rows = list(items)
        return cls(
            source,
            preset,
            frozenset(item.image_sha256 for item in rows),
            frozenset(() if source == DRAWN else (item.group_id for item in rows)),
        )

    def saw(self, item: Item) -> bool:
        """Its photo was trained on, or another product of its group."""
        return item.image_sha256 in self.images or (item.source == self.source and item.group_id in self.groups)

    def write(self, directory: Path) -> None:
        """Put it beside the adapter's weights."""
        body = {
            "source": self.source,
            "preset": self.preset,
            "images": sorted(self.images),
            "groups": sorted(self.groups),
        }
        atomic_write(directory / RECORD_FILE, json.dumps(body, indent=0) + "\n")

    @classmethod
    def read(cls, directory: Path) -> TrainingRecord | None:
        """The record beside an adapter; None when it has none. FvrecError when it cannot be understood."""
        path = directory / RECORD_FILE
        if not path.exists():
            return None
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            return cls(body["source"], body["preset"], frozenset(body["images"]), frozenset(body["groups"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FvrecError(f"the record of what it was trained on cannot be read: {error!r}", where=path) from error
