"""One row of a shop's table -> one product, by the mapping file; or the reason why it is none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from fvrec.records import AttributeValue, Origin, Quarantined
from fvrec.schema import OTHER, UNKNOWN
from fvrec.sources.base import UNKNOWN_ATTRIBUTE, RawRow, complete, has_file
from fvrec.sources.mapping import TableMapping, fold, leaves_folder
from fvrec.sources.remote import IMAGE_UNREACHABLE, ImageCache, is_address
from fvrec.sources.table import Line

MAX_ID = 200
_UNSAFE_ID = re.compile(r"[/\\\x00-\x1f\x7f]|^\.{1,2}$")


@dataclass(frozen=True)
class _Fault:
    """A reason of the quarantine, and what was wrong."""

    reason: str
    detail: str


@dataclass(frozen=True)
class RowReader:
    """What a mapping makes of the rows of one table. ``table``: its name in messages; ``images``: the image folder."""

    source: str
    table: str
    mapping: TableMapping
    images: Path
    cache: ImageCache

    def read(self, line: Line) -> RawRow | Quarantined:
        """The row's product; its picture is not looked at, but one behind a URL must be in the cache."""
        found = _Fault("bad_row", line.problem) if line.problem else self._product(line.values)
        if isinstance(found, RawRow):
            return found
        return Quarantined(self.source, f"{self.table}:{line.number + 1}", found.reason, found.detail)

    def address(self, values: Mapping[str, str]) -> str:
        """The URL of the row's picture; empty when the picture is a file, or the row is rejected whatever it shows."""
        fault = self._id_fault(values[self.mapping.columns.id]) or self._category_fault(values)
        picture = "" if fault else self.picture(values)
        return picture if is_address(picture) else ""

    def picture(self, values: Mapping[str, str]) -> str:
        """The row's picture as a URL or as a path below the image folder; empty when the cell is."""
        told, item_id = self.mapping.images, values[self.mapping.columns.id]
        if is_address(told.file):
            item_id = _UrlPart(item_id)
        if not self.mapping.columns.image:
            return (told.file or "{id}.jpg").format(id=item_id)
        cell = values[self.mapping.columns.image]
        image = cell.split(told.split)[0].strip() if told.split else cell
        return image if not told.file or not image or is_address(image) else told.file.format(id=item_id, image=image)

    def _product(self, values: Mapping[str, str]) -> RawRow | _Fault:
        told = self.mapping.columns
        item_id = values[told.id]
        path = self._id_fault(item_id) or self._category_fault(values) or self._located(self.picture(values))
        if isinstance(path, _Fault):
            return path
        return RawRow(
            item_id=item_id,
            group_key=_words(_cell(values, told.group)) or item_id,
            image_path=path,
            title=_cell(values, told.title),
            description=_cell(values, told.description),
            # A column without a name is the index that pandas writes: it says where a row stood, not what it is.
            raw={name: value for name, value in values.items() if name},
            attributes=complete(self._attributes(values)),
        )

    def _id_fault(self, item_id: str) -> _Fault | None:
        if not item_id:
            return _Fault("missing_id", f"{self.mapping.columns.id} is empty")
        if len(item_id) > MAX_ID:
            return _Fault("bad_row", f"an id of {len(item_id)} characters; allowed: {MAX_ID}")
        if _UNSAFE_ID.search(item_id):
            return _Fault("path_outside", f"the id {item_id[:80]!r} is no plain name")
        return None

    def _category_fault(self, values: Mapping[str, str]) -> _Fault | None:
        told = self.mapping.fields.get("category")
        if told is not None and told.default == UNKNOWN and not values[told.column]:
            return _Fault("missing_category", f"{told.column} is empty for id {values[self.mapping.columns.id]}")
        return None

    def _located(self, picture: str) -> Path | _Fault:
        if not picture:
            return _Fault("image_missing", f"{self.mapping.columns.image} is empty")
        if is_address(picture):
            path = self.cache.path(picture)
            return path if has_file(path) else _Fault(IMAGE_UNREACHABLE, self.cache.failure(picture))
        if leaves_folder(picture):
            return _Fault("path_outside", f"{picture[:80]!r} leads out of the image folder")
        return self.images / PurePosixPath(picture.replace("\\", "/"))

    def _attributes(self, values: Mapping[str, str]) -> dict[str, AttributeValue]:
        found = {field: _known(value, "source") for field, value in self.mapping.constants.items()}
        for field, told in self.mapping.fields.items():
            cell = values[told.column]
            # A category that the mapping never saw is still a product of some kind; any other new word tells nothing.
            unseen = OTHER if field == "category" else UNKNOWN
            # A default is the shop owner's assumption, not a label of the row.
            found[field] = _known(told.canonical(cell) or unseen, "source") if cell else _known(told.default, "rule")
        return found


class _UrlPart(str):
    """Text that a URL template takes in as one part of the path: what means something in a URL is escaped."""

    def __format__(self, form: str) -> str:
        return quote(super().__format__(form), safe="", errors="backslashreplace")


def _cell(values: Mapping[str, str], column: str) -> str:
    """Empty for a column that the mapping does not name, whatever a column without a name holds."""
    return values.get(column, "") if column else ""


def _words(text: str) -> str:
    """Case, punctuation and spacing do not tell two names apart."""
    return " ".join(re.findall(r"\w+", fold(text)))


def _known(value: str, origin: Origin) -> AttributeValue:
    return UNKNOWN_ATTRIBUTE if value == UNKNOWN else AttributeValue(value, origin)
