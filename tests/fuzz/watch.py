"""Which files a piece of code opens: Python's own audit events, so that no call can be missed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_LISTS = {"os.listdir", "os.scandir"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_listening: list[Opened] = []
_installed = False


@dataclass
class Opened:
    """Real paths of what was read or listed, and of what was opened for writing (and may be read again)."""

    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)

    def note(self, path: str, *, writing: bool) -> None:
        (self.written if writing else self.read).add(path)


@contextmanager
def opened_files() -> Iterator[Opened]:
    """All that this process opens or lists while the block runs."""
    global _installed
    if not _installed:
        sys.addaudithook(_hook)  # cannot be removed again: it stays, and listens to nobody
        _installed = True
    seen = Opened()
    _listening.append(seen)
    try:
        yield seen
    finally:
        _listening.remove(seen)


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if not _listening or not arguments or not (event == "open" or event in _LISTS):
        return
    path = arguments[0]
    if isinstance(path, str | bytes | os.PathLike):
        # realpath reads links without opening files, so this does not call itself.
        real = os.path.realpath(os.fsdecode(path))
        writing = event == "open" and bool(int(arguments[2] or 0) & _WRITES)  # type: ignore[call-overload]
        for seen in _listening:
            seen.note(real, writing=writing)


def outside(seen: Opened, *folders: Path) -> list[str]:
    """What was read and lies neither in ``folders`` nor where Python and its packages lie, nor was written before."""
    own = [*folders, Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[2], Path("/dev"), Path("/proc"),
           Path("/sys"), Path("/usr/lib"), Path("/usr/share"), Path("/etc/ld.so.cache")]  # fmt: skip
    real = [os.path.realpath(folder) for folder in own]
    read = seen.read - seen.written
    return sorted(path for path in read if not any(path == home or path.startswith(home + os.sep) for home in real))
