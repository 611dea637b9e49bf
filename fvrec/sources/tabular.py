"""Any shop's table: CSV, TSV or Parquet with pictures in a folder or behind URLs, read through ``mapping.toml``.

``raw_dir`` holds the mapping, the table and the pictures; pictures from URLs are kept in ``raw_dir/.fetched``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from fvrec.artifacts import digest_file, digest_json, digest_listing
from fvrec.config import FETCHED
from fvrec.errors import FvrecError
from fvrec.parallel import Progress
from fvrec.records import Quarantined
from fvrec.schema import FIELDS
from fvrec.sources import parquet, table
from fvrec.sources.admission import CATEGORY, has_pictures, require_labels, require_pictures
from fvrec.sources.base import RawRow, has_file
from fvrec.sources.dialect import Dialect, detect
from fvrec.sources.folder import is_inside
from fvrec.sources.mapping import MAPPING_FILE, TableMapping, fold, load_mapping, undecided
from fvrec.sources.remote import FetchPolicy, ImageCache, is_address
from fvrec.sources.table import Line
from fvrec.sources.tabular_rows import RowReader


class TabularSource:
    """Connector for a table that a mapping file describes. ``limit`` takes a seeded sample of its rows."""

    name = "tabular"

    def __init__(self, raw_dir: Path, *, seed: int = 7, limit: int | None = None) -> None:
        self.raw_dir = raw_dir
        self.mapping_file = raw_dir / MAPPING_FILE
        self._seed, self._limit = seed, limit

    @cached_property
    def mapping(self) -> TableMapping:
        """The mapping file, read once. FvrecError when it is missing or wrong, or a link out of the folder."""
        self._require_inside("the mapping file", self.mapping_file)
        return load_mapping(self.mapping_file)

    @cached_property
    def table(self) -> Path:
        """The table that the mapping names. FvrecError when it is a link out of the folder."""
        table = self.raw_dir / self.mapping.table.file
        self._require_inside("the table", table)
        return table

    @property
    def supervised_fields(self) -> tuple[str, ...]:
        """The fields that have a column; a constant teaches nothing and is not scored."""
        return tuple(field for field in FIELDS if field in self.mapping.fields)

    def discover(self) -> None:
        """FvrecError when mapping, table, a named column or the pictures are missing, or the source is not admitted."""
        if not self.raw_dir.is_dir():
            raise FvrecError("the raw folder is missing", where=self.raw_dir, allowed=f"a folder with {MAPPING_FILE}")
        self._header()
        self._require_inside("the image folder", self._images_folder())
        self._check_admission()

    def prepare(self, progress: Progress = iter) -> None:
        """Fetch the pictures that rows name by URL and the cache lacks. FvrecError when the cache is a link out."""
        self.discover()
        if not self.mapping.columns.image and not is_address(self.mapping.images.file):
            return
        self._require_inside("the folder of fetched pictures", self._cache.directory)
        named = (self._reader.address(line.values) for line in self._lines() if not line.problem)
        self._cache.fetch([address for address in named if address], progress)

    def rows(self) -> Iterator[RawRow | Quarantined]:
        """The table's rows in its order; torn ones, ones without id, category or picture, as Quarantined."""
        self.discover()
        yield from map(self._reader.read, self._lines())

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
        """Digest of what the user brought: a listing of the raw folder, without what was fetched from URLs.

        It changes also while pictures are missing that another try may bring: such an ingest is not to be reused.
        """
        # No path of the mapping is asked for: a mapping that cannot be read is a change too, not an error here.
        retry = ImageCache(self.raw_dir / FETCHED).retry_file
        inside = is_inside(retry, self.raw_dir) and has_file(retry)
        own = digest_listing(self.raw_dir, leave_out={FETCHED})
        return digest_json({"own": own, "retry": digest_file(retry) if inside else ""})

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

    def _require_inside(self, what: str, path: Path) -> None:
        if not path.resolve().is_relative_to(self.raw_dir.resolve()):
            raise FvrecError(f"{what} leads out of the raw folder", where=path, found=str(path.resolve()))

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

    @cached_property
    def _reader(self) -> RowReader:
        return RowReader(self.name, self.table.name, self.mapping, self._images_folder(), self._cache)

    def _images_folder(self) -> Path:
        return self.raw_dir / self.mapping.images.folder

    def _check_admission(self) -> None:
        require_labels(self.mapping_file, [self._labels(None)])
        if not self.mapping.columns.image and "{id" not in (self.mapping.images.file or "{id"):
            raise FvrecError("no picture is named", where=self.mapping_file, allowed="columns.image or images.file")
        require_labels(self.mapping_file, (self._labels(line) for line in self._all_lines() if not line.problem))
        if not has_pictures(self._images_folder()) and not self._names_addresses():
            require_pictures(
                self._images_folder(), layout="images.folder in the mapping file, or URLs in columns.image"
            )

    def _labels(self, line: Line | None) -> dict[str, str]:
        """What the row says of each field, or without a row which column would; of constants only the category."""
        constant = {CATEGORY: self.mapping.constants.get(CATEGORY, "")}
        columns = {field: told.column for field, told in self.mapping.fields.items()}
        return constant | (columns if line is None else {field: line.values[name] for field, name in columns.items()})

    def _names_addresses(self) -> bool:
        lines = self._all_lines() if self.mapping.columns.image else iter(())
        return any(is_address(self._reader.picture(line.values)) for line in lines if not line.problem)
