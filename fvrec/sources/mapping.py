"""The mapping file of a tabular source: which column is what, and which raw value is which canonical value (TOML)."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from string import Formatter

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fvrec.errors import FvrecError
from fvrec.schema import FIELDS, OTHER, UNKNOWN, VALUES

MAPPING_FILE = "mapping.toml"
UNDECIDED = "# ?"
"""Marks a drafted line that somebody has to decide on: such a value counts as unmapped."""
_SECTION = re.compile(r"^\s*\[fields\.(\w+)\.values\]")


def fold(raw: str) -> str:
    """A raw value as it is compared: full-width forms, case and spacing do not count.

    >>> fold("Ｎavy   BLUE ")
    'navy blue'
    """
    return " ".join(unicodedata.normalize("NFKC", raw).casefold().split())


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TableFile(_Part):
    """The table's file, and its dialect where it should not be detected."""

    file: str = Field(min_length=1)
    encoding: str = ""
    delimiter: str = ""


class Columns(_Part):
    """Which column holds what. ``group``: shared by the variants of one design."""

    id: str = Field(min_length=1)
    title: str = ""
    description: str = ""
    image: str = ""
    group: str = ""


class Images(_Part):
    """Where pictures are: a path below ``folder``, made from ``file``, or a URL in the image column.

    file: a template of a path or a URL over ``{id}`` and ``{image}``, with a width for leading characters
        (``{id:.3}/{id}.jpg``).
    split: separates several pictures in one cell; the first one counts.
    allow_private: whether URLs may lead to addresses that are not public.
    """

    folder: str = ""
    file: str = ""
    split: str = ""
    allow_private: bool = False
    max_connections: int = Field(default=8, ge=1, le=64)
    timeout_seconds: float = Field(default=20.0, gt=0, le=600)

    @field_validator("file")
    @classmethod
    def _is_template(cls, template: str) -> str:
        for _, name, form, conversion in Formatter().parse(template):
            if name is not None and (
                name not in ("id", "image") or conversion or not re.fullmatch(r"(\.\d{1,3})?", form or "")
            ):
                raise ValueError("only {id} and {image}, as in {id}.jpg or {id:.3}/{id}.jpg")
        return template


class FieldMapping(_Part):
    """One field's column and the canonical value of each raw value.

    split: separates several values in one cell; the first that is known counts. default: for an empty cell.
    """

    column: str = Field(min_length=1)
    split: str = ""
    default: str = UNKNOWN
    values: dict[str, str] = {}

    @cached_property
    def folded(self) -> Mapping[str, str]:
        """Raw values as compared -> canonical value."""
        return {fold(raw): value for raw, value in self.values.items()}

    def parts(self, cell: str) -> list[str]:
        """The raw values of one cell."""
        return [part for raw in (cell.split(self.split) if self.split else [cell]) if (part := raw.strip())]

    def canonical(self, cell: str) -> str | None:
        """The first known value of the cell; what its first mapped value says otherwise, None when none is mapped."""
        mapped = [self.folded[key] for part in self.parts(cell) if (key := fold(part)) in self.folded]
        return next((value for value in mapped if value not in (UNKNOWN, OTHER)), mapped[0] if mapped else None)


class TableMapping(_Part):
    """A whole mapping file. ``constants``: field -> value that every row has (a menswear shop: gender is male)."""

    table: TableFile
    columns: Columns
    images: Images = Images()
    constants: dict[str, str] = {}
    fields: dict[str, FieldMapping] = {}
    about: dict[str, str] = {}

    @model_validator(mode="after")
    def _is_in_the_schema(self) -> TableMapping:
        for field, value, where in self._claims():
            if field not in FIELDS:
                raise ValueError(f"{where}: there is no field {field!r}; allowed: {', '.join(FIELDS)}")
            if value is not None and value not in VALUES[field]:
                raise ValueError(f"{where}: {value!r} is no {field}; allowed: {', '.join(VALUES[field])}")
        both = sorted(set(self.constants) & set(self.fields))
        if both:
            raise ValueError(f"{both[0]} has a column and a constant: keep one of the two")
        return self

    def _claims(self) -> Iterator[tuple[str, str | None, str]]:
        for field, value in self.constants.items():
            yield field, value, f"constants.{field}"
        for field, mapping in self.fields.items():
            yield field, mapping.default, f"fields.{field}.default"
            for raw, value in mapping.values.items():
                yield field, value, f"fields.{field}.values, {raw!r}"

    @property
    def needed(self) -> tuple[str, ...]:
        """Every column that the mapping names, once."""
        own = [name for name in self.columns.model_dump().values() if name]
        return tuple(dict.fromkeys([*own, *(mapping.column for mapping in self.fields.values())]))


@dataclass(frozen=True)
class Undecided:
    """A drafted line that is still marked ``# ?``."""

    field: str
    raw: str
    line: int


def load_mapping(path: Path) -> TableMapping:
    """The mapping in ``path``. FvrecError says which key, what was found and what is allowed."""
    try:
        body = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise FvrecError(
            "the mapping file is missing", where=path, allowed="`fvrec source init TABLE` drafts one"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise FvrecError("the mapping file cannot be read", where=path, found=str(error)) from error
    except tomllib.TOMLDecodeError as error:
        raise FvrecError(f"the mapping file is no TOML: {error}", where=path) from error
    try:
        mapping = TableMapping.model_validate(body)
    except ValidationError as error:
        raise FvrecError(f"wrong mapping: {_sentence(error)}", where=path) from error
    for name, inside in (("table.file", mapping.table.file), ("images.folder", mapping.images.folder)):
        if leaves_folder(inside):
            raise FvrecError(f"{name} leads out of the folder", where=path, found=inside, allowed="a path below it")
    return mapping


def undecided(path: Path) -> list[Undecided]:
    """The values whose line in the mapping file still ends in the mark ``# ?``."""
    found, field = [], ""
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if line.lstrip().startswith("["):
            section = _SECTION.match(line)
            field = section[1] if section else ""
        # Quotes tell a mark from the same characters inside a raw value.
        elif field and line.lstrip()[:1] != "#" and line.rpartition(UNDECIDED)[0].count('"') >= 4:
            found += [Undecided(field, raw, number) for raw in tomllib.loads(line)]
    return found


def leaves_folder(path: str) -> bool:
    """Whether a relative path as a table gives it is absolute, climbs out or is none (a NUL), by its words alone."""
    plain = path.replace("\\", "/")
    absolute = plain.startswith("/") or re.match(r"[A-Za-z]:", plain) is not None
    return absolute or "\0" in plain or ".." in PurePosixPath(plain).parts


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    text = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        text = "there is no such key"
    elif first["type"] == "missing":
        text = "this key is missing"
    elif first["type"] == "string_too_short":
        text = "this key is empty"
    return f"{where}: {text}" if where else text
