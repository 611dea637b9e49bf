"""Fashion Product Images (Myntra), both Kaggle layouts: ``styles.csv`` beside ``images/{id}.jpg``, and in the full
release ``styles/{id}.json`` with article attributes and descriptions, and ``images.csv`` with the photos' addresses.

Dataset: Param Aggarwal, "Fashion Product Images", kaggle.com/datasets/paramaggarwal/fashion-product-images-dataset
and its smaller mirror fashion-product-images-small. The user downloads it; nothing of it is part of this project.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from fvrec import vocab
from fvrec.artifacts import digest_file, digest_tree
from fvrec.parallel import Progress
from fvrec.records import AttributeValue, Quarantined
from fvrec.schema import UNKNOWN
from fvrec.sources.admission import require_labels, require_pictures
from fvrec.sources.base import UNKNOWN_ATTRIBUTE, RawRow, complete
from fvrec.sources.folder import SAFE_ID, find_base, require_inside
from fvrec.sources.myntra_styles import MEANINGS, NO_DETAILS, Details, StyleFiles
from fvrec.sources.raw_values import canonical, count_values, unmapped
from fvrec.sources.table import Line, read_header, read_lines, sampled

VOCABULARY = "myntra"
COLUMNS: Mapping[str, str] = {
    "category": "articleType",
    "color": "baseColour",
    "style": "usage",
    "season": "season",
    "gender": "gender",
}
"""field -> the column that labels it."""
TITLE = "productDisplayName"
SLUGS = {
    "myntra": "paramaggarwal/fashion-product-images-dataset",
    "myntra-small": "paramaggarwal/fashion-product-images-small",
}
LAYOUT = "a folder with styles.csv and images/{id}.jpg"


class MyntraSource:
    """Connector for a folder that the user has unpacked. ``limit`` takes a seeded sample of its rows.

    name: ``myntra`` or ``myntra-small``, one layout under two names, so that the small photos and the large ones, which
    share their ids, are two catalogues.
    """

    def __init__(self, raw_dir: Path, *, name: str = "myntra", seed: int = 7, limit: int | None = None) -> None:
        self.raw_dir, self.name = raw_dir, name
        self._seed, self._limit = seed, limit

    @property
    def supervised_fields(self) -> tuple[str, ...]:
        """The labelled columns; with the full release also what its article attributes label."""
        return (*COLUMNS, *self._styles.labelled_fields) if self.raw_dir.is_dir() else tuple(COLUMNS)

    def discover(self) -> None:
        """FvrecError when the folder, the table, one of its columns, the photos or the labels are missing."""
        header = self._header()
        require_pictures(self._base / "images", layout=LAYOUT)
        lines = (line.values for line in self._lines(header) if not line.problem)
        require_labels(self._table, ({field: line[column] for field, column in COLUMNS.items()} for line in lines))

    def prepare(self, progress: Progress = iter) -> None:
        """Nothing: the user has unpacked the files."""

    def rows(self) -> Iterator[RawRow | Quarantined]:
        """The table's rows in its order; those without id or category, or torn, as Quarantined."""
        self.discover()
        links = self._links()
        header = self._header()
        for line in sampled(lambda: self._lines(header), limit=self._limit, seed=self._seed):
            yield self._row(line, links)

    def manifest(self) -> dict[str, Any]:
        """Where the user got the data, what its columns mean, and the digests of the tables as they lie there."""
        self.discover()
        header = self._header()
        lines = sum(1 for _ in self._lines(header))
        full = self._styles.is_there
        return {
            "source": self.name,
            "slug": SLUGS["myntra" if full else "myntra-small"],
            "link": f"https://www.kaggle.com/datasets/{SLUGS['myntra']}",
            "method": "by hand",
            "license": "as stated on the Kaggle page (MIT at the time of writing); photos stay with their owners",
            "fields": {name: MEANINGS.get(name, "not described by the publisher") for name in header}
            | (self._styles.meanings if full else {}),
            "supervised_fields": list(self.supervised_fields),
            "rows": lines,
            "rows_used": lines if self._limit is None else min(lines, self._limit),
            "images": sum(1 for _ in (self._base / "images").glob("*.jpg")),
            "files": self._digests(),
        }

    def unmapped(self) -> dict[str, Counter[str]]:
        """Table of the vocabulary -> raw values that it does not name, with their counts."""
        header = self._header()
        found = unmapped(VOCABULARY, count_values(self._lines(header), COLUMNS))
        return found | self._styles.unmapped(line.values.get("id", "") for line in self._lines(header))

    @cached_property
    def _base(self) -> Path:
        base = find_base(self.raw_dir, ["styles.csv"], layout=LAYOUT)
        for name in ("styles.csv", "images.csv"):
            require_inside(base / name, self.raw_dir)
        return base

    @property
    def _table(self) -> Path:
        return self._base / "styles.csv"

    @cached_property
    def _styles(self) -> StyleFiles:
        return StyleFiles(self._base / "styles", self.raw_dir)

    def _header(self) -> tuple[str, ...]:
        return read_header(self._table, ("id", *COLUMNS.values(), TITLE))

    def _lines(self, header: tuple[str, ...]) -> Iterator[Line]:
        return read_lines(self._table, header, open_ended=TITLE)

    def _links(self) -> Mapping[str, str]:
        """Photo file name -> address, as images.csv of the full release lists them; empty without that file."""
        table = self._base / "images.csv"
        if not table.is_file():
            return {}
        header = read_header(table, ("filename", "link"))
        lines = (line.values for line in read_lines(table, header, open_ended="link") if not line.problem)
        return {line["filename"]: line["link"] for line in lines if line["link"].startswith(("http://", "https://"))}

    def _digests(self) -> dict[str, str]:
        tables = [self._base / name for name in ("styles.csv", "images.csv")]
        digests = {table.name: digest_file(table) for table in tables if table.is_file()}
        return digests | ({"styles": digest_tree(self._base / "styles")} if self._styles.is_there else {})

    def _row(self, line: Line, links: Mapping[str, str]) -> RawRow | Quarantined:
        item_id = line.values.get("id", "")
        where = f"{self._table.name}:{line.number + 1}"
        if line.problem:
            return self._reject(where, "bad_row", line.problem)
        if not item_id:
            return self._reject(where, "missing_id", "the id column is empty")
        if not SAFE_ID.fullmatch(item_id):
            return self._reject(where, "path_outside", f"the id {item_id[:80]!r} is no plain file name")
        if not line.values[COLUMNS["category"]]:
            return self._reject(where, "missing_category", f"{COLUMNS['category']} is empty for id {item_id}")
        details = self._styles.read(item_id)
        if isinstance(details, str):
            return self._reject(f"styles/{item_id}.json", "bad_details", f"{item_id}: {details}")
        return self._product(item_id, line.values, details, links.get(f"{item_id}.jpg"))

    def _product(self, item_id: str, values: Mapping[str, str], details: Details, link: str | None) -> RawRow:
        more: dict[str, Any] = {"image_link": link} if link else {}
        if details != NO_DETAILS:
            more["articleAttributes"] = dict(details.attributes)
        return RawRow(
            item_id=item_id,
            group_key=group_key(values[TITLE]) or item_id,
            image_path=self._base / "images" / f"{item_id}.jpg",
            title=values[TITLE],
            description=details.description,
            raw={**values, **more},
            attributes=complete(_joined(labels_of(values), details.labels)),
        )

    def _reject(self, where: str, reason: str, detail: str) -> Quarantined:
        return Quarantined(self.name, where, reason, detail)


def group_key(title: str) -> str:
    """The title without case, punctuation and spacing: re-listings of one product share it.

    >>> group_key("Puma Men's  Black T-shirt")
    'puma men s black t shirt'
    """
    return " ".join(re.findall(r"\w+", title.lower()))


def labels_of(values: Mapping[str, str]) -> dict[str, AttributeValue]:
    """The five labelled columns in schema v1; a style that the column lacks may come from a title rule."""
    attributes = {field: canonical(VOCABULARY, field, values[column]) for field, column in COLUMNS.items()}
    if attributes["style"].value == UNKNOWN:
        attributes["style"] = _style_from_title(values[TITLE])
    return attributes


def _joined(table: Mapping[str, AttributeValue], file: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    """The table's columns first, then the product's file, then what a rule on the title guessed."""
    by_column = {field: value for field, value in table.items() if value.origin == "source"}
    return {**table, **file, **by_column}


def _style_from_title(title: str) -> AttributeValue:
    words = set(group_key(title).split())
    for style, markers in vocab.load(VOCABULARY)["style_from_title"].items():
        if words.intersection(markers):
            return AttributeValue(style, "rule")
    return UNKNOWN_ATTRIBUTE
