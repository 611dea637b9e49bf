"""Physical lines of a text table -> records, also where quotes are torn: every line ends up in exactly one record."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

MAX_LINE = 1 << 20
"""Characters of one physical line."""
MAX_CELL = 1 << 17
"""Characters of one cell: the limit of Python's ``csv``, which is global to the process and left alone."""
MAX_RECORD_LINES = 1000
"""Physical lines that one quoted cell may run over."""


@dataclass(frozen=True)
class Record:
    """One record: its first physical line (from 1), its cells, or ``problem`` when it is no record."""

    line: int
    cells: list[str]
    problem: str = ""


class Records:
    """The records of an open text file (``newline=""``), blank lines left out.

    A quoted cell may hold line breaks. A quote that is never closed, or that is closed by a later row's quote, would
    swallow rows: then its own line alone is the faulty record, and the lines after it are read as rows again.
    A later row is told by its shape: as many cells as the header, the first of them built like that of the row above
    (digits where it has digits, letters where it has letters).
    """

    def __init__(self, file: TextIO, delimiter: str, width: int = 0) -> None:
        self.width = width
        self._file, self._delimiter = file, delimiter
        self._waiting: list[str | None] = []
        self._line = 0
        self._was_too_long = False

    def __iter__(self) -> Iterator[Record]:
        while (line := self._pull()) is not None or self._was_too_long:
            number = self._line
            if line is None:
                yield Record(number, [], f"a line of more than {MAX_LINE} characters")
            elif line.strip("\r\n"):
                yield self._record(number, line)

    def _pull(self) -> str | None:
        """The next line; None at the end of the file, and (with the mark set) for one that is too long."""
        self._was_too_long = False
        line = self._waiting.pop() if self._waiting else self._read()
        if line == "":
            return None
        self._line += 1
        self._was_too_long = line is None
        return line

    def _read(self) -> str | None:
        """A line without NULs, empty at the end of the file, None for one that is too long and was skipped."""
        line = self._file.readline(MAX_LINE + 1)
        if len(line) <= MAX_LINE:
            # A line of NULs alone is a line still: the end of the file is what is empty.
            return line.replace("\0", "") or ("\n" if line else "")
        while len(line) > MAX_LINE and not line.endswith(("\n", "\r")):
            line = self._file.readline(MAX_LINE + 1)
        return None

    def _record(self, number: int, line: str) -> Record:
        if '"' not in line:
            cells = line.rstrip("\r\n").split(self._delimiter)
            return _sized(Record(number, cells))
        try:
            next(csv.reader([line], delimiter=self._delimiter, strict=True))
        except csv.Error as error:
            if "unexpected end" in str(error):
                return self._over_lines(number, line)
        return _sized(self._alone(number, line))

    def _alone(self, number: int, line: str) -> Record:
        try:
            return Record(number, next(csv.reader([line], delimiter=self._delimiter)))
        except csv.Error as error:
            return Record(number, [], f"not CSV: {error}")

    def _over_lines(self, number: int, line: str) -> Record:
        taken: list[str | None] = []

        def feed() -> Iterator[str]:
            yield line
            size = len(line)
            while len(taken) < MAX_RECORD_LINES and size < MAX_LINE:
                following = self._pull()
                if following is None and not self._was_too_long:
                    return
                taken.append(following)
                if following is None:
                    return
                size += len(following)
                yield following

        problem = ""
        try:
            cells = next(csv.reader(feed(), delimiter=self._delimiter, strict=True))
        except csv.Error:
            problem = "a quote that is never closed"
        if not problem and self._swallowed(line, taken):
            problem = "a quote that is closed by a later row's quote"
        if not problem:
            return _sized(Record(number, cells))
        self._waiting.extend(reversed(taken))
        self._line = number
        return Record(number, [], problem)

    def _swallowed(self, line: str, taken: list[str | None]) -> bool:
        if self.width < 2:
            return False
        shape = _shape(line.partition(self._delimiter)[0])
        for following in taken:
            cells = self._alone(0, following or "").cells
            if len(cells) == self.width and _shape(cells[0]) == shape:
                return True
        return False


def _shape(cell: str) -> str:
    """
    >>> _shape("SKU-0117")
    'a-9'
    """
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", cell.strip()))


def _sized(record: Record) -> Record:
    longest = max(map(len, record.cells), default=0)
    if longest > MAX_CELL:
        return Record(record.line, [], f"a cell of {longest} characters; allowed: {MAX_CELL}")
    return record
