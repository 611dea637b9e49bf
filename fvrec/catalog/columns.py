"""Columns that grow: a million short texts or hashes in a few flat buffers instead of a million objects."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


class Texts:
    """Texts that are only ever appended, kept as UTF-8 end to end."""

    def __init__(self) -> None:
        self._bytes, self._ends = bytearray(), array("q", [0])

    def append(self, text: str) -> None:
        """A lone surrogate (from a broken file name) is kept too."""
        self._bytes += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, row: int) -> str:
        return self._bytes[self._ends[row] : self._ends[row + 1]].decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))


class Hashes:
    """Byte strings of one width (a multiple of eight); an absent one is all zeros."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._bytes = bytearray()

    def append(self, value: bytes = b"") -> None:
        self._bytes += value.ljust(self.width, b"\0")

    def __len__(self) -> int:
        return len(self._bytes) // self.width

    def __setitem__(self, row: int, value: bytes) -> None:
        self._bytes[row * self.width : (row + 1) * self.width] = value.ljust(self.width, b"\0")

    def __getitem__(self, row: int) -> bytes:
        return bytes(self._bytes[row * self.width : (row + 1) * self.width])

    def words(self) -> NDArray[np.uint64]:
        """``[N, width / 8]``: a copy, to be compared and counted."""
        return np.frombuffer(bytes(self._bytes), dtype=np.uint64).reshape(len(self), self.width // 8)


def labels(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """``[N]``: equal rows of ``words`` (``[N, W]``) bear one number, numbers run from 0 without a gap."""
    if not len(words):
        return np.empty(0, dtype=np.int64)
    order = np.lexsort(words.T)
    changed = np.ones(len(order), dtype=np.int64)
    changed[0] = 0
    changed[1:] = (words[order[1:]] != words[order[:-1]]).any(axis=1)
    found = np.empty(len(order), dtype=np.int64)
    found[order] = np.cumsum(changed)
    return found
