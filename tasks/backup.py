"""One archive of what a root has made, and the way back: checked file by file before anything is replaced.

A backup is a plain tar of the places below, the warehouse as one consistent copy, and ``backup.json`` with the schema
version and the SHA-256 of every file. Photos are left out unless asked for, caches always: both can be made again.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import fvrec
from fvrec.artifacts import atomic_write, digest_file, is_temporary, remove, replace, staged
from fvrec.config import Settings
from fvrec.errors import FvrecError
from fvrec.records import utc_now
from fvrec.sources.unpacking import unpack
from tasks.lock import only_run
from warehouse import db
from warehouse.upgrade import load_migrations

FORMAT = 1
INDEX = "backup.json"
PHOTOS = "data/raw"
MANIFESTS = "outputs/manifests"
PLACES = (
    *("data/processed", "data/sft", "data/eval", "data/raw/kaggle_manifest.json"),
    *("outputs/models", "outputs/adapters", "outputs/policies", "outputs/calibration", "outputs/logs", "reports"),
    MANIFESTS,
)
"""Beside the warehouse. The manifests come last: without them nothing that is there counts as complete."""
_WORK = ".restore"


@dataclass(frozen=True)
class BackedUp:
    """A backup that was made or put back: its archive, how many files and bytes it holds."""

    archive: Path
    files: int
    size: int


def backup(settings: Settings, archive: Path, *, photos: bool = False) -> BackedUp:
    """Write everything that was made in the root to ``archive``, a tar that is whole or absent.

    FvrecError when there is no warehouse yet, the archive's name is taken, a run is at work, or it cannot be written.
    """
    if archive.exists():
        raise FvrecError("there is a file of that name already", where=archive, allowed="another name")
    with only_run(settings), _explained(archive), _scratch(settings) as work:
        database = work / "live.duckdb"
        work.mkdir(parents=True)
        db.copy(settings.database, database)
        files = {_database_name(settings): database, **dict(_made(settings, photos=photos))}
        index = {
            "format": FORMAT,
            "fvrec": fvrec.__version__,
            "schema": db.schema_version(database),
            "made_at": utc_now().isoformat(),
            "files": {name: digest_file(path) for name, path in files.items()},
        }
        atomic_write(work / INDEX, json.dumps(index, indent=1) + "\n")
        with staged(archive) as unfinished, tarfile.open(unfinished, "w") as tar:
            for name, path in {INDEX: work / INDEX, **files}.items():
                tar.add(path, name, recursive=False)
        return BackedUp(archive, len(files), archive.stat().st_size)


def restore(settings: Settings, archive: Path, *, overwrite: bool = False) -> BackedUp:
    """Put a backup back into the root, and publish its warehouse; an older schema is migrated.

    FvrecError, with the root as it was, when the archive is damaged, holds a name outside of the places of a backup or
    a link, was made by a newer fvrec, or when something is there already and ``overwrite`` was not asked for.
    """
    with only_run(settings), _explained(settings.root), _scratch(settings) as work:
        unpack(archive, work)
        names = _checked(work, archive)
        _refuse_newer(work / _database_name(settings), archive)
        if not overwrite:
            _refuse_what_is_there(settings, names)
        _put_back(settings, work, names)
        db.migrate(settings.database)
        db.publish(settings.database, settings.snapshot)
        return BackedUp(archive, len(names), archive.stat().st_size)


def _made(settings: Settings, *, photos: bool) -> Iterator[tuple[str, Path]]:
    for place in (*PLACES, *([PHOTOS] if photos else [])):
        top = settings.root / place
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and not path.is_symlink() and not is_temporary(path):
                yield path.relative_to(settings.root).as_posix(), path


def _database_name(settings: Settings) -> str:
    return settings.database.relative_to(settings.root).as_posix()


def _checked(work: Path, archive: Path) -> list[str]:
    """Names of the files of an unpacked backup, without the index. FvrecError unless each is what the index says."""
    index = _index(work, archive)
    expected: Mapping[str, str] = index["files"]
    found = {path.relative_to(work).as_posix() for path in work.rglob("*") if path.is_file()} - {INDEX}
    strange = sorted(name for name in found if not _has_a_place(name))
    if strange:
        raise FvrecError("the backup holds a file that has no place in one", where=archive, found=strange[0])
    damaged = sorted(
        name for name in {*expected, *found} if name not in found or expected.get(name) != digest_file(work / name)
    )
    if damaged:
        raise FvrecError("the backup is damaged: a file is not what its index says", where=archive, found=damaged[0])
    return sorted(found)


def _index(work: Path, archive: Path) -> dict[str, Any]:
    try:
        index = json.loads((work / INDEX).read_text(encoding="utf-8"))
        known = index["format"] == FORMAT and isinstance(index["files"], dict)
    except (OSError, ValueError, TypeError, KeyError):
        known = False
    if not known:
        raise FvrecError("not a backup of this version", where=archive, allowed="what `fvrec backup` wrote")
    return index


def _refuse_newer(database: Path, archive: Path) -> None:
    version, newest = db.schema_version(database), len(load_migrations())
    if version > newest:
        raise FvrecError(
            "the backup was made by a newer version of fvrec: upgrade fvrec first",
            where=archive,
            found=version,
            allowed=f"schema versions up to {newest}",
        )


def _has_a_place(name: str) -> bool:
    path = PurePosixPath(name)
    return name == "data/warehouse/live.duckdb" or any(path.is_relative_to(place) for place in (*PLACES, PHOTOS))


def _refuse_what_is_there(settings: Settings, names: list[str]) -> None:
    there = [place for place in (_database_name(settings), *PLACES) if (settings.root / place).exists()]
    there += [name for name in names if (settings.root / name).exists()]
    if there:
        raise FvrecError(
            "the root is not empty", where=settings.root, found=there[0], allowed="another --root, or --overwrite"
        )


def _put_back(settings: Settings, work: Path, names: list[str]) -> None:
    """Without manifests while the rest is exchanged: a restore that is cut short leaves nothing that seems whole."""
    remove(settings.root / MANIFESTS)
    database = _database_name(settings)
    for place in (database, *PLACES):
        target = settings.root / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if place == database:
            remove(target.with_name(f"{target.name}.wal"))
        if (work / place).exists():
            replace(work / place, target)
        else:
            remove(target)
    for name in names:
        if (work / name).exists():  # photos, one by one: the folder may hold others
            (settings.root / name).parent.mkdir(parents=True, exist_ok=True)
            replace(work / name, settings.root / name)


@contextmanager
def _scratch(settings: Settings) -> Iterator[Path]:
    """A folder's name on the root's own disk; what is there is cleared away before and afterwards."""
    work = settings.root / _WORK
    remove(work)
    try:
        yield work
    finally:
        remove(work)


@contextmanager
def _explained(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FvrecError(f"cannot write: {error.strerror or error}", where=where) from error
