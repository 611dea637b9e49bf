"""Where in the user's raw folder the files lie: archives often unpack into a folder of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from fvrec.errors import FvrecError

DEPTH = 2
SAFE_ID = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
"""An id that is a plain file name: no separator, no leading dot, nothing that could leave the folder."""


def find_base(raw_dir: Path, marks: Sequence[str], *, layout: str) -> Path:
    """The folder that holds one of ``marks`` (relative names): ``raw_dir``, or at most two levels below it.

    ``raw_dir`` itself when there is none, so that the complaint names the place where the user put the data.
    FvrecError when the folder is missing, or when two folders of one level could be meant.
    """
    if not raw_dir.is_dir():
        raise FvrecError("the raw folder is missing", where=raw_dir, allowed=layout)
    level = [raw_dir]
    for _ in range(DEPTH + 1):
        found = [folder for folder in level if any((folder / mark).is_file() for mark in marks)]
        if len(found) > 1:
            raise FvrecError(
                "two copies of the data", where=raw_dir, found=", ".join(each.name for each in found), allowed=layout
            )
        if found:
            return found[0]
        level = [child for folder in level for child in _folders(folder)]
    return raw_dir


def is_inside(path: Path, folder: Path) -> bool:
    """Whether ``path``, links followed, lies in ``folder``; False when it cannot be followed."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):
        return False


def require_inside(path: Path, folder: Path) -> None:
    """FvrecError when a file that is about to be read is a link out of ``folder``."""
    if path.exists() and not is_inside(path, folder):
        raise FvrecError(
            "a file leads out of the raw folder", where=path, found=str(path.resolve()), allowed=folder.name
        )


def _folders(folder: Path) -> list[Path]:
    # A folder of pictures has hundreds of folders below it and never the table.
    skipped = ("images", "img", "styles")
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name.lower() not in skipped)
