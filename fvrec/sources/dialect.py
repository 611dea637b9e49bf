"""How a text table is written: its encoding and its delimiter, found in the file itself by fixed rules."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fvrec.errors import FvrecError

DELIMITERS = (",", ";", "\t", "|")
ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "cp1252")
HEADER_CHARACTERS = 1 << 16
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_BLOCK = 1 << 20
_CHINESE_SHARE = 0.9


@dataclass(frozen=True)
class Dialect:
    """The encoding's name for ``open`` and the character between cells."""

    encoding: str
    delimiter: str


def detect(path: Path, needed: Sequence[str] = (), *, encoding: str = "", delimiter: str = "") -> Dialect:
    """The dialect of a CSV or TSV file; what the caller names is taken as given.

    Encoding: by its byte-order mark; UTF-8 when the whole file is; UTF-16 when its beginning has zero bytes on
    one side of each pair; GB18030 when what is not ASCII comes in the byte pairs of GB 2312; UTF-8 with broken
    characters replaced when most characters are whole; Windows-1252 (Latin-1) otherwise.
    Delimiter: the one under which the header holds most of ``needed``, then most cells; comma, semicolon, tab, bar.
    FvrecError when the file cannot be read or a given name is unknown.
    """
    if delimiter and delimiter not in DELIMITERS:
        raise FvrecError("unknown delimiter", where=path, found=delimiter, allowed=[repr(one) for one in DELIMITERS])
    if encoding:
        _check_encoding(encoding, path)
    try:
        status = path.stat()
        encoding = encoding or _encoding(path, status.st_size, status.st_mtime_ns)
        with path.open(newline="", encoding=encoding, errors="replace") as file:
            header = file.readline(HEADER_CHARACTERS).replace("\0", "")
    except (OSError, UnicodeError) as error:
        raise FvrecError("the table cannot be read", where=path, found=str(error)) from error
    return Dialect(encoding, delimiter or _delimiter(header, needed))


def _check_encoding(encoding: str, path: Path) -> None:
    try:
        "".encode(encoding)  # refuses codecs that Python has beside those of text: rot13, hex, zlib
        codecs.getincrementaldecoder(encoding)("replace").decode(b"", final=True)
    except (LookupError, ValueError) as error:
        raise FvrecError("unknown encoding", where=path, found=encoding, allowed=ENCODINGS) from error


def _delimiter(header: str, needed: Sequence[str]) -> str:
    def fitness(delimiter: str) -> tuple[int, int]:
        try:
            cells = [cell.strip() for cell in next(csv.reader([header], delimiter=delimiter), [])]
        except csv.Error:
            return (0, 0)
        return len(set(needed) & set(cells)), len(cells)

    return max(DELIMITERS, key=fitness)  # of equals, max takes the first


@lru_cache(maxsize=64)
def _encoding(path: Path, size: int, modified: int) -> str:
    """Size and time are part of the key, so that a changed file is looked at again."""
    with path.open("rb") as file:
        beginning = file.read(4096)
    for mark, name in _MARKS:
        if beginning.startswith(mark):
            return name
    zeros = [beginning[offset::2].count(0) for offset in (0, 1)]
    if max(zeros) > len(beginning) / 16 and min(zeros) <= max(zeros) / 8:
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    if _decodes(path, "utf-8"):
        return "utf-8"
    if _decodes(path, "gb18030") and _share(path, "gb18030", _is_common_chinese) >= _CHINESE_SHARE:
        return "gb18030"
    return "utf-8" if _share(path, "utf-8", lambda character: character != "\ufffd") > 0.5 else "cp1252"


def _blocks(path: Path, encoding: str, errors: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield decoder.decode(block)
    yield decoder.decode(b"", final=True)


def _decodes(path: Path, encoding: str) -> bool:
    try:
        return all(True for _ in _blocks(path, encoding, "strict"))
    except UnicodeDecodeError:
        return False


def _share(path: Path, encoding: str, good: Callable[[str], bool]) -> float:
    """Of the characters beyond ASCII, the share that is ``good``."""
    total = fine = 0
    for text in _blocks(path, encoding, "replace"):
        beyond = [character for character in text if character > "\x7f"]
        total += len(beyond)
        fine += sum(map(good, beyond))
    return fine / max(total, 1)


def _is_common_chinese(character: str) -> bool:
    try:
        return len(character.encode("gb2312")) == 2
    except UnicodeEncodeError:
        return False
