"""Reading a shop's table: CSV in any usual encoding and dialect, or Parquet, a row at a time; torn rows say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from fvrec.errors import FvrecError
from fvrec.sources.dialect import Dialect, detect
from fvrec.sources.torn import Record, Records

Row = TypeVar("Row")
_EMPTY = {"", "nan", "null", "none"}
_LONGEST_EMPTY = max(map(len, _EMPTY))
_SHORT = 40
_REMEMBERED = 1 << 14


@dataclass(frozen=True)
class Line:
    """One data row: ``values`` by column (empty for NaN), or ``problem`` when it could not be made to fit.

    ``number`` + 1 is the physical line that the row begins on.
    """

    number: int
    values: dict[str, str]
    problem: str = ""


def read_header(path: Path, needed: Sequence[str], *, dialect: Dialect | None = None) -> tuple[str, ...]:
    """The columns of ``path``; FvrecError when the file is missing, is no CSV text, or lacks one of ``needed``.

    dialect: ``fvrec.sources.dialect.detect`` finds it when it is not given.
    """
    if not path.is_file():
        raise FvrecError("the table is missing", where=path, allowed=f"a CSV file with the columns {', '.join(needed)}")
    dialect = dialect or detect(path, needed)
    try:
        with path.open(newline="", encoding=dialect.encoding, errors="replace") as file:
            first = next(iter(Records(file, dialect.delimiter)), None)
    except (OSError, UnicodeError) as error:
        raise FvrecError("the table cannot be read", where=path, found=str(error), allowed="a CSV file") from error
    if first is not None and first.problem:
        raise FvrecError("the table's header cannot be read", where=path, found=first.problem, allowed="a CSV file")
    header = tuple(name.strip() for name in first.cells) if first is not None else ()
    check_columns(header, needed, path)
    return header


def check_columns(header: Sequence[str], needed: Sequence[str], path: Path) -> None:
    """FvrecError unless each of ``needed`` is in ``header``, once."""
    for name in needed:
        if name not in header:
            raise FvrecError(f"the table lacks the column {name}", where=path, found=", ".join(header), allowed=needed)
        if header.count(name) > 1:
            raise FvrecError(f"the column {name} comes twice", where=path, found=", ".join(header))


def read_lines(
    path: Path, header: Sequence[str], *, open_ended: str = "", dialect: Dialect | None = None
) -> Iterator[Line]:
    """Every data row, one in memory at a time.

    open_ended: the column whose text holds bare delimiters; surplus cells are joined back into it. Where the table has
    no such column, a row with surplus cells is a faulty one.
    """
    dialect = dialect or detect(path, header)
    with path.open(newline="", encoding=dialect.encoding, errors="replace") as file:
        records = Records(file, dialect.delimiter, len(header))
        records_of_rows = iter(records)
        next(records_of_rows, None)
        cleaned = _Cleaned()
        for record in records_of_rows:
            if record.problem:
                yield Line(record.line - 1, {}, record.problem)
            else:
                yield _fit(record, header, open_ended, dialect.delimiter, cleaned)


def sampled(lines: Callable[[], Iterator[Row]], *, limit: int | None, seed: int) -> Iterator[Row]:
    """A seeded sample of ``limit`` rows in their order, by two passes; all of them when there are no more.

    lines: gives a fresh pass over the rows at each call.
    """
    total = sum(1 for _ in lines()) if limit is not None else 0
    if limit is None or limit >= total:
        yield from lines()
        return
    chosen = set(np.random.default_rng(seed).permutation(total)[:limit].tolist())
    for index, line in enumerate(lines()):
        if index in chosen:
            yield line


def clean(cell: str) -> str:
    """One line of text; empty for the marks of a missing value."""
    text = " ".join(cell.split())
    return "" if len(text) <= _LONGEST_EMPTY and text.lower() in _EMPTY else text


class _Cleaned(dict[str, str]):
    """Cell -> ``clean`` cell. A shop's columns repeat few values: short cells are remembered, long ones are not."""

    def __missing__(self, cell: str) -> str:
        text = clean(cell)
        if len(cell) <= _SHORT:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[cell] = text
        return text


def _fit(record: Record, header: Sequence[str], open_ended: str, delimiter: str, cleaned: _Cleaned) -> Line:
    number, cells = record.line - 1, record.cells
    surplus = len(cells) - len(header)
    joined = surplus > 0 and open_ended in header
    if joined:
        at = list(header).index(open_ended)
        cells = [*cells[:at], delimiter.join(cells[at : at + surplus + 1]), *cells[at + surplus + 1 :]]
    values = dict(zip(header, map(cleaned.__getitem__, cells), strict=False))
    if surplus and not joined:
        return Line(number, values, f"{len(cells)} cells where the header has {len(header)}")
    return Line(number, values)
