"""Any shop's table: CSV, TSV or Parquet with pictures in a folder or behind URLs, read through ``mapping.toml``.

``raw_dir`` holds the mapping, the table and the pictures; pictures from URLs are kept in ``raw_dir/.fetched``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from fvrec.artifacts import digest_file, digest_json, digest_tree
from fvrec.errors import FvrecError
from fvrec.parallel import Progress
from fvrec.records import AttributeValue, Quarantined
from fvrec.schema import FIELDS, OTHER, UNKNOWN
from fvrec.sources import parquet, table
from fvrec.sources.base import UNKNOWN_ATTRIBUTE, RawRow, complete
from fvrec.sources.dialect import Dialect, detect
from fvrec.sources.mapping import MAPPING_FILE, TableMapping, fold, leaves_folder, load_mapping, undecided
from fvrec.sources.remote import FETCHED, IMAGE_UNREACHABLE, FetchPolicy, ImageCache, is_address
from fvrec.sources.table import Line

MAX_ID = 200
ADMITTED = "pictures, one category field and two more attribute columns"
_UNSAFE_ID = re.compile(r"[/\\\x00-\x1f\x7f]|^\.{1,2}$")


class TabularSource:
    """Connector for a table that a mapping file describes. ``limit`` takes a seeded sample of its rows."""

    name = "tabular"

    def __init__(self, raw_dir: Path, *, seed: int = 7, limit: int | None = None) -> None:
        self.raw_dir = raw_dir
        self.mapping_file = raw_dir / MAPPING_FILE
        self._seed, self._limit = seed, limit

    @cached_property
    def mapping(self) -> TableMapping:
        """The mapping file, read once. FvrecError when it is missing or wrong."""
        return load_mapping(self.mapping_file)

    @property
    def table(self) -> Path:
        return self.raw_dir / self.mapping.table.file

    @property
    def supervised_fields(self) -> tuple[str, ...]:
        """The fields that have a column; a constant teaches nothing and is not scored."""
        return tuple(field for field in FIELDS if field in self.mapping.fields)

    def discover(self) -> None:
        """FvrecError when mapping, table, a named column or the pictures are missing, or the source is not admitted."""
        if not self.raw_dir.is_dir():
            raise FvrecError("the raw folder is missing", where=self.raw_dir, allowed=f"a folder with {MAPPING_FILE}")
        self._header()
        self._check_admission()
        folder = self._images_folder()
        if not folder.is_dir():
            raise FvrecError("the image folder is missing", where=folder, allowed="images.folder in the mapping file")
        if not folder.resolve().is_relative_to(self.raw_dir.resolve()):
            raise FvrecError("the image folder leads out of the raw folder", where=folder, found=str(folder.resolve()))

    def prepare(self, progress: Progress = iter) -> None:
        """Fetch the pictures that rows name by URL and the cache lacks."""
        self.discover()
        if not self.mapping.columns.image:
            return
        named = (self._picture(line.values) for line in self._lines() if not line.problem)
        self._cache.fetch([address for address in named if is_address(address)], progress)

    def rows(self) -> Iterator[RawRow | Quarantined]:
        """The table's rows in its order; torn ones, ones without id, category or picture, as Quarantined."""
        self.discover()
        for line in self._lines():
            yield self._row(line)

    def manifest(self) -> dict[str, Any]:
        """What the mapping file says of the origin, the columns, and the digests of table and mapping."""
        self.discover()
        rows = sum(1 for _ in self._all_lines())
        meaning = {column: f"the {role}" for role, column in self.mapping.columns.model_dump().items() if column}
        meaning |= {mapping.column: f"attribute {field}" for field, mapping in self.mapping.fields.items()}
        about = self.mapping.about
        return {
            "source": self.name,
            "slug": about.get("name", self.table.stem),
            "link": about.get("link", ""),
            "method": "by hand",
            "license": about.get("license", "not stated in the mapping file"),
            "fields": {name: meaning.get(name, "not used") for name in self._header()},
            "supervised_fields": list(self.supervised_fields),
            "constants": dict(self.mapping.constants),
            "rows": rows,
            "rows_used": rows if self._limit is None else min(rows, self._limit),
            "files": {path.name: digest_file(path) for path in (self.table, self.mapping_file)},
        }

    def input_digest(self) -> str:
        """Digest of what the user brought: mapping, table and local pictures, without what was fetched from URLs."""
        own = [path for path in sorted(self.raw_dir.iterdir()) if path.name != FETCHED]
        return digest_json({path.name: digest_tree(path) for path in own if path.exists()})

    def unmapped(self) -> dict[str, Counter[str]]:
        """field -> raw values that the mapping does not name, or names with the mark of a decision to be made."""
        pending = {(mark.field, fold(mark.raw)) for mark in undecided(self.mapping_file)}
        found: dict[str, Counter[str]] = {field: Counter() for field in self.mapping.fields}
        for line in self._all_lines():
            for field, mapping in self.mapping.fields.items():
                for part in mapping.parts(line.values.get(mapping.column, "")):
                    if fold(part) not in mapping.folded or (field, fold(part)) in pending:
                        found[field][part] += 1
        return {field: counts for field, counts in found.items() if counts}

    @cached_property
    def _dialect(self) -> Dialect:
        told = self.mapping.table
        return detect(self.table, self.mapping.needed, encoding=told.encoding, delimiter=told.delimiter)

    @property
    def _is_parquet(self) -> bool:
        return self.table.suffix.lower() in (".parquet", ".pq")

    def _header(self) -> tuple[str, ...]:
        if self._is_parquet:
            return parquet.read_header(self.table, self.mapping.needed)
        if not self.table.is_file():
            raise FvrecError("the table is missing", where=self.table, allowed="table.file in the mapping file")
        return table.read_header(self.table, self.mapping.needed, dialect=self._dialect)

    def _all_lines(self) -> Iterator[Line]:
        if self._is_parquet:
            return parquet.read_lines(self.table, self._header())
        return table.read_lines(self.table, self._header(), dialect=self._dialect)

    def _lines(self) -> Iterator[Line]:
        return table.sampled(self._all_lines, limit=self._limit, seed=self._seed)

    @cached_property
    def _cache(self) -> ImageCache:
        told = self.mapping.images
        policy = FetchPolicy(told.allow_private, told.max_connections, told.timeout_seconds)
        return ImageCache(self.raw_dir / FETCHED, policy)

    def _images_folder(self) -> Path:
        return self.raw_dir / self.mapping.images.folder

    def _check_admission(self) -> None:
        attributes = [field for field in self.mapping.fields if field != "category"]
        if "category" not in {*self.mapping.fields, *self.mapping.constants} or len(attributes) < 2:
            found = ", ".join([*self.mapping.fields, *(f"{field} (constant)" for field in self.mapping.constants)])
            raise FvrecError("too few attribute columns", where=self.mapping_file, found=found, allowed=ADMITTED)
        if not self.mapping.columns.image and "{id" not in (self.mapping.images.file or "{id"):
            raise FvrecError("no picture is named", where=self.mapping_file, allowed="columns.image or images.file")

    def _row(self, line: Line) -> RawRow | Quarantined:
        values, where = line.values, f"{self.table.name}:{line.number + 1}"
        fault = line.problem and ("bad_row", line.problem)
        fault = fault or self._id_fault(values[self.mapping.columns.id]) or self._category_fault(values)
        if fault:
            return Quarantined(self.name, where, *fault)
        picture = self._picture(values)
        path, problem = self._locate(picture)
        if problem:
            return Quarantined(self.name, where, *problem)
        told = self.mapping.columns
        item_id, title = values[told.id], values.get(told.title, "")
        return RawRow(
            item_id=item_id,
            group_key=_words(values.get(told.group, "")) or item_id,
            image_path=path,
            title=title,
            description=values.get(told.description, ""),
            raw=values,
            attributes=complete(self._attributes(values)),
        )

    def _id_fault(self, item_id: str) -> tuple[str, str] | None:
        if not item_id:
            return "missing_id", f"{self.mapping.columns.id} is empty"
        if len(item_id) > MAX_ID:
            return "bad_row", f"an id of {len(item_id)} characters; allowed: {MAX_ID}"
        if _UNSAFE_ID.search(item_id):
            return "path_outside", f"the id {item_id[:80]!r} is no plain name"
        return None

    def _category_fault(self, values: Mapping[str, str]) -> tuple[str, str] | None:
        told = self.mapping.fields.get("category")
        if told is not None and told.default == UNKNOWN and not values[told.column]:
            return "missing_category", f"{told.column} is empty for id {values[self.mapping.columns.id]}"
        return None

    def _picture(self, values: Mapping[str, str]) -> str:
        """The row's picture as a URL or as a path below the image folder; empty when the cell is."""
        told, item_id = self.mapping.images, values[self.mapping.columns.id]
        if not self.mapping.columns.image:
            return (told.file or "{id}.jpg").format(id=item_id)
        cell = values[self.mapping.columns.image]
        image = cell.split(told.split)[0].strip() if told.split else cell
        return image if not told.file or not image or is_address(image) else told.file.format(id=item_id, image=image)

    def _locate(self, picture: str) -> tuple[Path, tuple[str, str] | None]:
        if not picture:
            return self.raw_dir, ("image_missing", f"{self.mapping.columns.image} is empty")
        if is_address(picture):
            path = self._cache.path(picture)
            return path, None if path.is_file() else (IMAGE_UNREACHABLE, self._cache.failure(picture))
        if leaves_folder(picture):
            return self.raw_dir, ("path_outside", f"{picture[:80]!r} leads out of the image folder")
        return self._images_folder() / PurePosixPath(picture.replace("\\", "/")), None

    def _attributes(self, values: Mapping[str, str]) -> dict[str, AttributeValue]:
        found = {field: _known(value, "source") for field, value in self.mapping.constants.items()}
        for field, told in self.mapping.fields.items():
            cell = values[told.column]
            # A category that the mapping never saw is still a product of some kind; any other new word tells nothing.
            unseen = OTHER if field == "category" else UNKNOWN
            # A default is the shop owner's assumption, not a label of the row.
            found[field] = _known(told.canonical(cell) or unseen, "source") if cell else _known(told.default, "rule")
        return found


def _words(text: str) -> str:
    """Case, punctuation and spacing do not tell two names apart."""
    return " ".join(re.findall(r"\w+", fold(text)))


def _known(value: str, origin: Any) -> AttributeValue:
    return UNKNOWN_ATTRIBUTE if value == UNKNOWN else AttributeValue(value, origin)
