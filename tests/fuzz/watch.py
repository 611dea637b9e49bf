"""Which files a piece of code opens: Python's own audit events, so that no call can be missed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_READS_A_FILE = {"open", "os.listdir", "os.scandir", "shutil.copyfile"}
_listening: list[set[str]] = []
_installed = False


@contextmanager
def opened_files() -> Iterator[set[str]]:
    """Real paths of all that this process opens or lists while the block runs."""
    global _installed
    if not _installed:
        sys.addaudithook(_hook)  # cannot be removed again: it stays, and listens to nobody
        _installed = True
    seen: set[str] = set()
    _listening.append(seen)
    try:
        yield seen
    finally:
        _listening.remove(seen)


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if not _listening or event not in _READS_A_FILE or not arguments:
        return
    path = arguments[0]
    if isinstance(path, str | bytes | os.PathLike):
        # realpath reads links without opening files, so this does not call itself.
        real = os.path.realpath(os.fsdecode(path))
        for seen in _listening:
            seen.add(real)


def outside(seen: set[str], *folders: Path) -> list[str]:
    """What lies neither in ``folders`` nor where Python and its packages lie."""
    own = [*folders, Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[2], Path("/dev"), Path("/proc"),
           Path("/sys"), Path("/usr/lib"), Path("/usr/share"), Path("/etc/ld.so.cache")]  # fmt: skip
    real = [os.path.realpath(folder) for folder in own]
    return sorted(path for path in seen if not any(path == home or path.startswith(home + os.sep) for home in real))
