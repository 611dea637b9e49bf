"""Which rows are looked at at all: a new id, and a photo that lies inside the raw folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fvrec.imaging import IMAGE_MISSING
from fvrec.records import Quarantined
from fvrec.sources.base import RawRow, Source

_PROBLEMS = {
    "missing_id": "the id is empty",
    "duplicate_id": "an earlier row has this id",
    "path_outside": "its photo lies outside the raw folder",
    IMAGE_MISSING: "its photo's path cannot be followed",
}


@dataclass(frozen=True)
class Admitted:
    """A row that may be read. name: its photo's path below the raw folder. status: None when there is no such file."""

    row: RawRow
    path: str
    shown: str
    name: str
    status: os.stat_result | None


class Gate:
    """Lets rows of one source through, each id once."""

    def __init__(self, source: str, raw_dir: Path, root: Path) -> None:
        self._source = source
        self._raw, self._inside = os.path.abspath(raw_dir), os.path.realpath(raw_dir)
        self._root = os.path.join(os.path.abspath(root), "")
        self._seen: set[str] = set()
        self._folders: dict[str, bool] = {}

    def admit(self, row: RawRow) -> Admitted | Quarantined:
        """The row with its photo's state, or why it is rejected. No file is opened."""
        path = os.path.abspath(row.image_path)
        # Lexical: a folder that is a link below the root is still below it.
        shown = path[len(self._root) :] if path.startswith(self._root) else path
        problem, status = self._look(row, path)
        self._seen.add(row.item_id)
        if problem:
            return Quarantined(self._source, shown, problem, f"{row.item_id[:80]}: {_PROBLEMS[problem]}")
        return Admitted(row, path, shown, path.removeprefix(self._raw), status)

    def _look(self, row: RawRow, path: str) -> tuple[str, os.stat_result | None]:
        if not row.item_id:
            return "missing_id", None
        if row.item_id in self._seen:
            return "duplicate_id", None
        try:
            if not self._holds(os.path.dirname(path)):
                return "path_outside", None
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                if not _is_below(os.path.realpath(path), self._inside):
                    return "path_outside", None
                status = os.stat(path)
        except FileNotFoundError:
            return "", None
        except (OSError, ValueError):
            return IMAGE_MISSING, None
        return "", status

    def _holds(self, folder: str) -> bool:
        """Whether the folder, its links followed, lies in the raw folder. Asked once a folder."""
        if folder not in self._folders:
            self._folders[folder] = _is_below(os.path.realpath(folder), self._inside)
        return self._folders[folder]


def admitted_rows(source: Source) -> Iterator[RawRow | Quarantined]:
    """The source's rows in order, those that an ingest would not look at as Quarantined. No photo is opened."""
    gate = Gate(source.name, source.raw_dir, source.raw_dir)
    for row in source.rows():
        admitted = gate.admit(row) if isinstance(row, RawRow) else row
        yield row if isinstance(admitted, Admitted) else admitted


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))
