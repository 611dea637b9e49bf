"""``fvrec source init``: a first mapping file, drafted from what a shop's table holds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fvrec.errors import FvrecError
from fvrec.schema import FIELDS, OTHER, UNKNOWN, VALUES
from fvrec.sources import parquet, table
from fvrec.sources.base import has_file
from fvrec.sources.columns import ColumnGuesses, ColumnStatistics, guess_columns, statistics
from fvrec.sources.dialect import Dialect, detect
from fvrec.sources.guessing import guess
from fvrec.sources.mapping import UNDECIDED, leaves_folder
from fvrec.sources.remote import is_address

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Draft:
    """The text of a mapping file, the columns that were guessed, and how many values are left to be decided."""

    text: str
    columns: ColumnGuesses
    undecided: int


def draft(table_file: Path, *, images: Path | None = None) -> Draft:
    """Draft the mapping file that is to lie beside ``table_file``.

    images: folder of the pictures, below the table's folder; ``images`` beside the table when that is there.
    FvrecError when the table cannot be read, no column can be the id, or the pictures lie elsewhere.
    """
    header, lines, dialect = _open(table_file)
    columns = statistics(header, lines)
    if not any(column.filled for column in columns):
        raise FvrecError("the table has no row", where=table_file)
    guesses = guess_columns(columns)
    if "id" not in guesses.roles:
        raise FvrecError(
            "no column can be the id", where=table_file, found=", ".join(header),
            allowed="a column that differs in every row",
        )  # fmt: skip
    folder = _folder(table_file, images)
    by_name = {column.name: column for column in columns}
    head = [*_head(table_file, dialect), *_columns(guesses), *_images(guesses, by_name, folder, table_file.parent)]
    count, sections = 0, []
    for field, name in guesses.fields.items():
        values, open_ones = _values(field, _raw_values(by_name[name], guesses.separators[field]))
        count += open_ones
        sections += [*_section(field, name, guesses.separators[field]), *values]
    if left_out := [field for field in FIELDS if field not in guesses.fields]:
        sections.append(f"# No column was found for {', '.join(left_out)}.")
    return Draft("\n".join([*head, *_constants(guesses), *sections]) + "\n", guesses, count)


def _open(table_file: Path) -> tuple[tuple[str, ...], Iterator[table.Line], Dialect | None]:
    if not table_file.is_file():
        raise FvrecError("the table is missing", where=table_file, allowed="a CSV, TSV or Parquet file")
    if table_file.suffix.lower() in (".parquet", ".pq"):
        header = parquet.read_header(table_file, ())
        return header, parquet.read_lines(table_file, header), None
    dialect = detect(table_file)
    header = table.read_header(table_file, (), dialect=dialect)
    table.check_columns(header, header, table_file)
    return header, table.read_lines(table_file, header, dialect=dialect), dialect


def _folder(table_file: Path, images: Path | None) -> str:
    home = table_file.parent
    if images is None:
        return "images" if (home / "images").is_dir() else ""
    if not images.is_dir():
        raise FvrecError("the image folder is missing", where=images)
    if not images.resolve().is_relative_to(home.resolve()):
        raise FvrecError(
            "the pictures lie outside the table's folder",
            where=images,
            allowed=f"a folder below {home}: move them there",
        )
    inside = images.resolve().relative_to(home.resolve()).as_posix()
    return "" if inside == "." else inside


def _head(table_file: Path, dialect: Dialect | None) -> Iterator[str]:
    yield f"# Drafted from {table_file.name}. A line marked `{UNDECIDED}` waits for you: decide on it, remove the mark."
    yield "# `fvrec source check` lists what is left; `fvrec ingest --source tabular` reads through this file."
    yield ""
    yield "[about]"
    yield f"name = {quote(table_file.stem)}"
    yield 'license = "not stated"'
    yield ""
    yield "[table]"
    yield f"file = {quote(table_file.name)}"
    if dialect is not None:
        yield f"encoding = {quote(dialect.encoding)}"
        yield f"delimiter = {quote(dialect.delimiter)}"
    yield ""


def _columns(guesses: ColumnGuesses) -> Iterator[str]:
    yield "[columns]"
    for role in ("id", "title", "description", "image", "group"):
        if role in guesses.roles:
            yield f"{role} = {quote(guesses.roles[role])}"
        else:
            yield f'# {role} = "..."'
    yield ""


def _images(guesses: ColumnGuesses, columns: Mapping[str, ColumnStatistics], folder: str, home: Path) -> Iterator[str]:
    role = "image" if "image" in guesses.roles else "id"
    place = _place(columns[guesses.roles[role]].examples, role, folder, home)
    yield "[images]"
    yield f"folder = {quote(place.folder)}"
    if place.template != "{image}":
        yield f"file = {quote(place.template)}"
    yield ""


@dataclass(frozen=True)
class _Place:
    """A folder and a template of names in it."""

    folder: str
    template: str


def _place(examples: Sequence[str], role: str, folder: str, home: Path) -> _Place:
    """Where most of the first rows' pictures are: the folder as told and its parent, with and without suffixes."""
    bare = [f"{{{role}}}", *(f"{{{role}{width}}}/{{{role}}}" for width in (":.2", ":.3", ":.4"))]
    templates = [name + suffix for name in bare for suffix in ("", *_SUFFIXES, *map(str.upper, _SUFFIXES))]
    usual = _Place(folder, "{image}" if role == "image" else "{id}.jpg")
    places = [usual, *(_Place(where, template) for where in dict.fromkeys((folder, "")) for template in templates)]
    safe = [example for example in examples if not is_address(example) and not leaves_folder(example)]

    def found(place: _Place) -> int:
        return sum(has_file(home / place.folder / place.template.format(**{role: name})) for name in safe)

    return max(places, key=found)


def _constants(guesses: ColumnGuesses) -> Iterator[str]:
    yield "[constants]"
    yield "# What holds for every product of the shop, for a field that has no column."
    yield '# gender = "male"' if "gender" not in guesses.fields else '# season = "summer"'
    yield ""


def _raw_values(column: ColumnStatistics, separator: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for cell, count in column.values.items():
        for part in cell.split(separator) if separator else [cell]:
            if part.strip():
                found[part.strip()] += count
    return found


def _section(field: str, column: str, separator: str) -> Iterator[str]:
    yield f"[fields.{field}]"
    yield f"column = {quote(column)}"
    if separator:
        yield f"split = {quote(separator)}"
    yield ""
    yield f"[fields.{field}.values]"
    yield f"# allowed: {' '.join(VALUES[field])}"


def _values(field: str, raw_values: Mapping[str, int]) -> tuple[list[str], int]:
    """One line a raw value, the commonest first, with its count; and how many are left open."""
    lines, undecided = [], 0
    for raw, count in sorted(raw_values.items(), key=lambda entry: (-entry[1], entry[0])):
        found = guess(field, raw)
        if found is None:
            undecided += 1
            lines.append(f"{quote(raw)} = {quote(OTHER if field == 'category' else UNKNOWN)} {UNDECIDED} {count} rows")
        else:
            by = f", by {found.word!r}" if found.word else ""
            lines.append(f"{quote(raw)} = {quote(found.value)} # {count} rows{by}")
    return [*lines, ""], undecided


def quote(text: str) -> str:
    """A TOML basic string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
