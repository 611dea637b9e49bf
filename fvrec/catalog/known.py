"""What is known of photos from an earlier ingest: a file that has not changed since is not read again."""

from __future__ import annotations

import io
import os
import time
from hashlib import blake2b
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import PIL
from numpy.typing import NDArray

from fvrec.artifacts import atomic_write
from fvrec.closure import code_digest

KEY_BYTES = 16
NOT_KEPT = b""
"""Key of a photo that is read each time."""
SETTLED_NS = 2_000_000_000
"""A file that changed so shortly before it was read may change again within one tick of the file system's clock."""
_KNOWN = np.dtype([("key", "<u8", 2), ("found", "V64")])


class KnownPhotos:
    """Key -> SHA-256 and perceptual hash (64 bytes). A key is made of path, size and both times of change.

    Failures are not kept, so an unreadable photo is tried again. What other code or another Pillow found out is void.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file, self._version = file, f"{code_digest('fvrec.imaging')} {PIL.__version__}"
        self._old = _load(file, self._version)
        self._order = self._old["key"][:, 0].copy()
        self._used = np.zeros(len(self._old), dtype=bool)
        self._new = bytearray()
        self._latest = time.time_ns() - SETTLED_NS

    def key(self, name: str, status: os.stat_result) -> bytes:
        """name: the path below the raw folder. The inode's time counts too: unpacked archives bring old times along."""
        if status.st_ctime_ns > self._latest:
            return NOT_KEPT
        marks = f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}"
        return blake2b(marks.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()

    def get(self, key: bytes) -> bytes | None:
        """What was found out about the file of this key; None when it has to be read."""
        if not key or not len(self._order):
            return None
        first, second = np.frombuffer(key, dtype="<u8")
        at = int(np.searchsorted(self._order, first))
        if at == len(self._order) or self._order[at] != first or self._old["key"][at, 1] != second:
            return None
        self._used[at] = True
        return self._old["found"][at].tobytes()

    def add(self, key: bytes, found: bytes) -> None:
        """Keep what was found out about a file."""
        if key:
            self._new += key + found

    def save(self) -> None:
        """Write all that is known to the file. FvrecError when that cannot be."""
        if self._file is None or not self._new:
            return
        new = np.frombuffer(bytes(self._new), dtype=_KNOWN)
        # Samples of one source take turns, so what this ingest did not ask for stays; but not for ever.
        keep = self._used if len(self._old) > 4 * (len(new) + self._used.sum()) else slice(None)
        known = np.concatenate([self._old[keep], new])
        known = known[np.argsort(known["key"][:, 0], kind="stable")]
        buffer = io.BytesIO()
        np.savez(buffer, version=np.array(self._version), known=known.view(np.uint8))
        atomic_write(self._file, buffer.getvalue())


def _load(file: Path | None, version: str) -> NDArray[np.void]:
    """What the file holds; nothing when it is absent, of other code, or no such file."""
    try:
        with np.load(file or os.devnull, allow_pickle=False) as kept:
            if str(kept["version"]) == version:
                return np.frombuffer(kept["known"].tobytes(), dtype=_KNOWN)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        pass
    return np.empty(0, dtype=_KNOWN)
