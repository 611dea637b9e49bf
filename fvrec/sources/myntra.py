"""Fashion Product Images (Myntra), the Kaggle layout: ``styles.csv`` beside ``images/{id}.jpg``.

Dataset: Param Aggarwal, "Fashion Product Images", kaggle.com/datasets/paramaggarwal/fashion-product-images-dataset
and its smaller mirror fashion-product-images-small. The user downloads it; nothing of it is part of this project.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fvrec import vocab
from fvrec.errors import FvrecError
from fvrec.parallel import Progress
from fvrec.records import AttributeValue, Quarantined
from fvrec.schema import OTHER, UNKNOWN
from fvrec.sources.base import UNKNOWN_ATTRIBUTE, RawRow, complete
from fvrec.sources.table import Line, read_header, read_lines

COLUMNS: Mapping[str, str] = {
    "category": "articleType",
    "color": "baseColour",
    "style": "usage",
    "season": "season",
    "gender": "gender",
}
"""field -> the column that labels it."""
TITLE = "productDisplayName"
_MEANINGS = {
    "id": "product number; the photo is images/{id}.jpg",
    "gender": "whom it is sold to",
    "masterCategory": "category, widest of three levels",
    "subCategory": "category, second level",
    "articleType": "category, narrowest level",
    "baseColour": "main colour, 46 names",
    "season": "season it was listed for",
    "year": "year it was listed",
    "usage": "occasion it is sold for",
    "productDisplayName": "title on the shop's page",
}
_SAFE_ID = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


class MyntraSource:
    """Connector for a folder that the user has unpacked. ``limit`` takes a seeded sample of its rows."""

    name = "myntra"
    supervised_fields = tuple(COLUMNS)

    def __init__(self, raw_dir: Path, *, seed: int = 7, limit: int | None = None) -> None:
        self.raw_dir = raw_dir
        self.table = raw_dir / "styles.csv"
        self._seed, self._limit = seed, limit

    def discover(self) -> None:
        """FvrecError when the folder, the table, one of its columns or the photos are missing."""
        layout = "a folder with styles.csv and images/{id}.jpg"
        if not self.raw_dir.is_dir():
            raise FvrecError("the raw folder is missing", where=self.raw_dir, allowed=layout)
        self._header()
        images = self.raw_dir / "images"
        if not images.is_dir() or next(images.glob("*.jpg"), None) is None:
            raise FvrecError("no product photo", where=images, allowed=layout)

    def prepare(self, progress: Progress = iter) -> None:
        """Nothing: the user has unpacked the files."""

    def rows(self) -> Iterator[RawRow | Quarantined]:
        """The table's rows in its order; those without id or category, or torn, as Quarantined."""
        self.discover()
        lines = list(read_lines(self.table, self._header(), open_ended=TITLE))
        if self._limit is not None and self._limit < len(lines):
            chosen = np.random.default_rng(self._seed).permutation(len(lines))[: self._limit]
            lines = [lines[index] for index in sorted(chosen)]
        for line in lines:
            yield self._row(line)

    def manifest(self) -> dict[str, Any]:
        """Where the user got the data, what its columns mean, and the digest of the table as it lies there."""
        self.discover()
        header = self._header()
        lines = sum(1 for _ in read_lines(self.table, header, open_ended=TITLE))
        return {
            "source": self.name,
            "slug": "paramaggarwal/fashion-product-images-small",
            "link": "https://www.kaggle.com/datasets/paramaggarwal/fashion-product-images-dataset",
            "method": "by hand",
            "license": "as stated on the Kaggle page (MIT at the time of writing); photos stay with their owners",
            "fields": {name: _MEANINGS.get(name, "not described by the publisher") for name in header},
            "supervised_fields": list(self.supervised_fields),
            "rows": lines,
            "rows_used": lines if self._limit is None else min(lines, self._limit),
            "images": sum(1 for _ in (self.raw_dir / "images").glob("*.jpg")),
            "files": {self.table.name: hashlib.sha256(self.table.read_bytes()).hexdigest()},
        }

    def unmapped(self) -> dict[str, Counter[str]]:
        """field -> raw values that the vocabulary does not name, with their counts."""
        found: dict[str, Counter[str]] = {field: Counter() for field in COLUMNS}
        for line in read_lines(self.table, self._header(), open_ended=TITLE):
            for field, column in COLUMNS.items():
                value = line.values.get(column, "")
                if value and value.lower() not in _mapping(field):
                    found[field][value] += 1
        return {field: counts for field, counts in found.items() if counts}

    def _header(self) -> tuple[str, ...]:
        return read_header(self.table, ("id", *COLUMNS.values(), TITLE))

    def _row(self, line: Line) -> RawRow | Quarantined:
        item_id = line.values.get("id", "")
        where = f"{self.table.name}:{line.number + 1}"
        if line.problem:
            return self._reject(where, "bad_row", line.problem)
        if not item_id:
            return self._reject(where, "missing_id", "the id column is empty")
        if not _SAFE_ID.fullmatch(item_id):
            return self._reject(where, "path_outside", f"the id {item_id[:80]!r} is no plain file name")
        if not line.values[COLUMNS["category"]]:
            return self._reject(where, "missing_category", f"{COLUMNS['category']} is empty for id {item_id}")
        title = line.values[TITLE]
        return RawRow(
            item_id=item_id,
            group_key=group_key(title) or item_id,
            image_path=self.raw_dir / "images" / f"{item_id}.jpg",
            title=title,
            description="",
            raw=line.values,
            attributes=complete(canonical(line.values)),
        )

    def _reject(self, where: str, reason: str, detail: str) -> Quarantined:
        return Quarantined(self.name, where, reason, detail)


def group_key(title: str) -> str:
    """The title without case, punctuation and spacing: re-listings of one product share it.

    >>> group_key("Puma Men's  Black T-shirt")
    'puma men s black t shirt'
    """
    return " ".join(re.findall(r"\w+", title.lower()))


def canonical(values: Mapping[str, str]) -> dict[str, AttributeValue]:
    """The five labelled columns in schema v1; a style that the column lacks may come from a title rule."""
    attributes = {field: _canonical(field, values[column]) for field, column in COLUMNS.items()}
    if attributes["style"].value == UNKNOWN:
        attributes["style"] = _style_from_title(values[TITLE])
    return attributes


def _canonical(field: str, raw: str) -> AttributeValue:
    # A category that the vocabulary never saw is still a product of some kind; any other new word tells nothing.
    unseen = OTHER if field == "category" else UNKNOWN
    value = _mapping(field).get(raw.lower(), unseen)
    return UNKNOWN_ATTRIBUTE if value == UNKNOWN else AttributeValue(value, "source")


def _style_from_title(title: str) -> AttributeValue:
    words = set(group_key(title).split())
    for style, markers in vocab.load("myntra")["style_from_title"].items():
        if words.intersection(markers):
            return AttributeValue(style, "rule")
    return UNKNOWN_ATTRIBUTE


def _mapping(field: str) -> Mapping[str, str]:
    if field not in _LOWERED:
        _LOWERED[field] = {raw.lower(): value for raw, value in vocab.load("myntra")[field].items()}
    return _LOWERED[field]


_LOWERED: dict[str, Mapping[str, str]] = {}
