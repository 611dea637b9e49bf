"""Which data is a source at all: pictures, a category and two more attributes. One place for every connector."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from fvrec.errors import FvrecError
from fvrec.schema import FIELDS

CATEGORY = "category"
MORE_FIELDS = 2
PICTURES = (".jpg", ".jpeg", ".png", ".webp")


def has_pictures(folder: Path) -> bool:
    """Whether ``folder`` holds a picture, at whatever depth."""
    return folder.is_dir() and any(path.suffix.lower() in PICTURES for path in folder.rglob("*"))


def require_pictures(folder: Path, *, layout: str) -> None:
    """FvrecError unless ``folder`` holds a picture, at whatever depth; ``layout`` says how it should look."""
    if not has_pictures(folder):
        missing = "" if folder.is_dir() else ": the image folder is missing"
        raise FvrecError(f"no product photo{missing}", where=folder, allowed=layout)


def labels_shortfall(labelled: Collection[str]) -> str:
    """What the fields that a source labels lack to make it a source, as a sentence; empty when they are enough."""
    others = [field for field in labelled if field != CATEGORY]
    if CATEGORY not in labelled:
        return "no field tells the category"
    return "" if len(others) >= MORE_FIELDS else f"{len(others)} attribute fields beside it; needed: {MORE_FIELDS}"


def require_labels(where: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """FvrecError unless ``rows`` name the category and two more attributes between them.

    rows: field -> what the source says of it, in its own words (empty where it says nothing). They are read only until
    enough is known. No row at all is no fault of the labels: there is nothing to judge.
    """
    labelled: set[str] = set()
    seen = False
    for row in rows:
        seen = True
        labelled.update(field for field, value in row.items() if value)
        if not labels_shortfall(labelled):
            return
    if seen:
        raise FvrecError(
            "too few attributes to learn from",
            where=where,
            found=", ".join(field for field in FIELDS if field in labelled) or "none",
            allowed=f"pictures, a {CATEGORY} and at least {MORE_FIELDS} more of: {', '.join(FIELDS[1:])}",
        )
