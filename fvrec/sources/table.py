"""Reading a shop's CSV: any byte-order mark, NaN marks, and rows torn by commas that nobody quoted."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fvrec.errors import FvrecError

_EMPTY = {"", "nan", "null", "none"}


@dataclass(frozen=True)
class Line:
    """One data row: ``values`` by column (empty for NaN), or ``problem`` when it could not be made to fit."""

    number: int
    values: dict[str, str]
    problem: str = ""


def read_header(path: Path, needed: Sequence[str]) -> tuple[str, ...]:
    """The columns of ``path``; FvrecError when the file is missing, is no CSV text, or lacks one of ``needed``."""
    if not path.is_file():
        raise FvrecError("the table is missing", where=path, allowed=f"a CSV file with the columns {', '.join(needed)}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = tuple(name.strip() for name in next(csv.reader(file), []))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FvrecError(
            "the table cannot be read", where=path, found=str(error), allowed="a UTF-8 CSV file"
        ) from error
    missing = [name for name in needed if name not in header]
    if missing:
        raise FvrecError(
            f"the table lacks the column {missing[0]}", where=path, found=", ".join(header), allowed=needed
        )
    return header


def read_lines(path: Path, header: Sequence[str], *, open_ended: str) -> Iterator[Line]:
    """Every data row. Surplus cells are joined back into ``open_ended``, the column whose text holds bare commas."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.reader(_without_nul(file))
        next(reader, None)
        number = 0
        while True:
            number += 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Line(number, {}, f"not CSV: {error}")
                continue
            if cells:
                yield _fit(number, cells, header, open_ended)


def _fit(number: int, cells: list[str], header: Sequence[str], open_ended: str) -> Line:
    surplus = len(cells) - len(header)
    if surplus > 0:
        at = list(header).index(open_ended)
        cells = [*cells[:at], ",".join(cells[at : at + surplus + 1]), *cells[at + surplus + 1 :]]
    values = {name: _clean(cell) for name, cell in zip(header, cells, strict=False)}
    if surplus < 0:
        return Line(number, values, f"{len(cells)} cells where the header has {len(header)}")
    return Line(number, values)


def _clean(cell: str) -> str:
    text = " ".join(cell.split())
    return "" if text.lower() in _EMPTY else text


def _without_nul(lines: Iterator[str]) -> Iterator[str]:
    return (line.replace("\0", "") for line in lines)
