"""The text files of DeepFashion's Category and Attribute Prediction Benchmark, in both layouts that mirrors carry.

Coarse: ``Anno_coarse`` (or ``Anno``) ``/list_{category,attr}_{cloth,img}.txt`` and ``Eval/list_eval_partition.txt``:
a count, a header line, then one entry a line. Fine: ``Anno_fine/list_attr_cloth.txt`` and, for each partition,
``{train,val,test}.txt`` (photos), ``…_cate.txt`` (category numbers) and ``…_attr.txt`` (0/1 for each attribute).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path

from fvrec.errors import FvrecError
from fvrec.sources.folder import require_inside

COARSE, FINE = ("Anno_coarse", "Anno"), "Anno_fine"
MISFIT = "the attribute line has another length than the list of attributes"
PARTITIONS = ("train", "val", "test")
PHOTOS, NAMES, ATTRIBUTES = "list_category_img.txt", "list_category_cloth.txt", "list_attr_cloth.txt"
LAYOUT = f"a folder with Anno_coarse/{PHOTOS} (or Anno_fine/train.txt), {NAMES}, {ATTRIBUTES} and img/"


@dataclass(frozen=True)
class Entry:
    """One labelled photo: its path as the files name it, the number of its category (from 1), its partition.

    where: file and line. on: positions of its attributes (from 0), None when they are in a file of their own.
    problem: why the line cannot be used, or empty.
    """

    photo: str
    category: str
    partition: str
    where: str
    on: tuple[int, ...] | None = None
    problem: str = ""


@dataclass(frozen=True)
class Benchmark:
    """The files below ``base``. Nothing is read before it is asked for; no file outside ``raw_dir`` is read."""

    base: Path
    raw_dir: Path

    @property
    def coarse(self) -> Path | None:
        """The coarse annotations, which win where both are there: they label all 289,222 photos."""
        return next((self.base / name for name in COARSE if (self.base / name / PHOTOS).is_file()), None)

    @property
    def annotations(self) -> Path:
        return self.coarse or self.base / FINE

    def categories(self) -> list[str]:
        """The names, by number."""
        return [name for name, _ in self._named(NAMES)]

    def attributes(self) -> list[str]:
        """The names, by position; several words may make one name."""
        return [name for name, _ in self._named(ATTRIBUTES)]

    def entries(self) -> Iterator[Entry]:
        """Every labelled photo, in the order of the files."""
        if self.coarse:
            yield from self._coarse_entries(self.coarse)
        else:
            for partition in PARTITIONS:
                yield from self._fine_entries(partition)

    def attributes_of(self, photos: Collection[str]) -> dict[str, tuple[int, ...] | None]:
        """Photo -> positions of its attributes (None: the line does not fit), for the photos asked for (coarse)."""
        path = self.annotations / "list_attr_img.txt"
        if not path.is_file():
            return {}
        expected, found = len(self.attributes()), {}
        for line in self._body(path):
            photo, _, marks = line.strip().partition(" ")
            if photo in photos:
                found[photo] = _on(marks.split(), expected)
                if len(found) == len(photos):
                    break
        return found

    def require(self) -> None:
        """FvrecError unless the files that name categories and attributes are there."""
        for name in (NAMES, ATTRIBUTES):
            if self._find(name) is None:
                raise FvrecError("a file of the benchmark is missing", where=self.annotations / name, allowed=LAYOUT)

    def _coarse_entries(self, folder: Path) -> Iterator[Entry]:
        partitions = self._partitions()
        for number, line in enumerate(self._body(folder / PHOTOS), start=3):
            photo, _, category = line.strip().rpartition(" ")
            photo = photo.strip()
            if line.strip():
                yield Entry(photo, category, partitions.get(photo, ""), f"{PHOTOS}:{number}")

    def _fine_entries(self, partition: str) -> Iterator[Entry]:
        folder = self.annotations
        if not (folder / f"{partition}.txt").is_file():
            return
        width = len(self.attributes())
        columns = [self._lines(folder / f"{partition}{part}.txt") for part in ("", "_cate", "_attr")]
        for number, (photo, category, marks) in enumerate(zip_longest(*columns, fillvalue=""), start=1):
            if photo.strip():
                where = f"{partition}.txt:{number}"
                on = _on(marks.split(), width)
                yield Entry(photo.strip(), category.strip(), partition, where, on or (), MISFIT if on is None else "")

    def _partitions(self) -> dict[str, str]:
        path = self.base / "Eval" / "list_eval_partition.txt"
        if not path.is_file():
            return {}
        cells = (line.split() for line in self._body(path))
        return {cell[0]: cell[-1] for cell in cells if len(cell) > 1}

    def _named(self, name: str) -> list[tuple[str, str]]:
        path = self._find(name)
        if path is None:
            raise FvrecError("a file of the benchmark is missing", where=self.annotations / name, allowed=LAYOUT)
        cells = (line.rsplit(None, 1) for line in self._body(path) if line.strip())
        return [(cell[0].strip(), cell[1]) for cell in cells if len(cell) > 1]

    def _find(self, name: str) -> Path | None:
        folders = [self.annotations, *(self.base / each for each in COARSE)]
        return next((folder / name for folder in folders if (folder / name).is_file()), None)

    def _body(self, path: Path) -> Iterator[str]:
        """The lines after the count and the header."""
        return islice(self._lines(path), 2, None)

    def _lines(self, path: Path) -> Iterator[str]:
        if not path.is_file():
            return
        require_inside(path, self.raw_dir)
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from file


def _on(marks: Sequence[str], expected: int) -> tuple[int, ...] | None:
    """Positions that are marked 1 (others are 0 or -1); None when there are not as many marks as attributes."""
    if len(marks) != expected:
        return None
    return tuple(position for position, mark in enumerate(marks) if mark == "1")
