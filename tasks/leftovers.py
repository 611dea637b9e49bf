"""What a killed run leaves behind: half-built files, shards without an index, a Prefect server without its run.

Whoever holds the lock of the root (``tasks/lock.py``) knows that nobody else is building anything there, so what still
bears a temporary name belongs to a dead process. It is removed, and each removal is a line of
``outputs/logs/leftovers.txt``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from fvrec.artifacts import is_temporary, output_name, remove
from fvrec.config import DRAWN, FETCHED, Settings
from fvrec.errors import FvrecError
from fvrec.records import utc_now
from fvrec.vlm.shards import shards_without_index
from tasks.places import feature_dir
from warehouse.publish import unpublished

LOG = "leftovers.txt"


def sweep(settings: Settings) -> list[Path]:
    """Remove what killed runs left below the folders that stages fill; returns it. The caller holds the root's lock.

    The user's own folders are not touched, but for the manifest and the fetched pictures that stages put there.
    FvrecError when a leftover cannot be removed or the log cannot be written.
    """
    found = sorted({*_leftovers(settings)})
    if found:
        _note(settings, found)
    for path in found:
        remove(path)
    return found


def _leftovers(settings: Settings) -> Iterator[Path]:
    for folder in _filled(settings):
        yield from (path for path in _walk(folder) if is_temporary(path))
    for path in settings.source_manifest.parent.glob("*"):
        if is_temporary(path):
            yield path
    yield from shards_without_index(feature_dir(settings))
    yield from unpublished(settings.snapshot)


def _filled(settings: Settings) -> list[Path]:
    outputs = ("manifests", "models", "adapters", "policies", "logs", "calibration", "resume")
    raw = settings.raw_dir if settings.source == DRAWN else settings.raw_dir / FETCHED
    # Elsewhere the root's lock says nothing: another root's run may be fetching into the same folder.
    drawn = [raw] if raw.resolve().is_relative_to(settings.root.resolve()) else []
    return [
        *(settings.processed, settings.sft_dir, settings.eval_dir, settings.cache, settings.warehouse_dir),
        *(settings.outputs / name for name in outputs),
        *(settings.reports, *drawn),
    ]


def _walk(folder: Path) -> Iterator[Path]:
    """Everything below the folder; links are not followed, and nothing below a leftover is looked at."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            path = Path(entry.path)
            yield path
            if entry.is_dir(follow_symlinks=False) and not is_temporary(path):
                yield from _walk(path)


def _note(settings: Settings, found: list[Path]) -> None:
    """The lines come before the removal: a process killed in between has then said more than it did, not less."""
    log, now = settings.logs / LOG, utc_now().isoformat(timespec="seconds")
    lines = (f"{now} {output_name(path, settings.root)}\n" for path in found)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.writelines(lines)
    except OSError as error:
        raise FvrecError(f"cannot write: {error.strerror or error}", where=log) from error


def stop_orphaned_servers(home: Path) -> list[int]:
    """End Prefect's temporary servers of this home whose run was killed; returns their process ids.

    Prefect starts one for each process that names no server, and ends it at that process's orderly exit only. The
    caller holds the root's lock, so a server without a living Python parent serves nobody.
    """
    stopped = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if _is_orphan(process, home):
                process.terminate()
                stopped.append(process.pid)
    return stopped


def _is_orphan(process: psutil.Process, home: Path) -> bool:
    if "prefect.server.api.server:create_app" not in process.cmdline():
        return False
    environment, parent = process.environ(), process.parent()
    ours = environment.get("PREFECT__SERVER_EPHEMERAL") == "1" and environment.get("PREFECT_HOME") == str(home)
    return ours and (parent is None or not _is_python(parent))


def _is_python(process: psutil.Process) -> bool:
    """By the program, not by the process's name: that of a console script is the script's own."""
    try:
        return "python" in Path(process.exe()).name
    except psutil.AccessDenied:
        return "python" in process.name()
