"""Files that are either whole or absent, their digests, and the manifest that says a stage is complete.

A manifest is written last: its presence means that everything it names was in place, and its digests say with which
inputs, configuration and code that was made. Nothing else decides whether a stage may be reused.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from glob import escape
from pathlib import Path
from typing import Any
from uuid import uuid4

from fvrec.errors import FvrecError

MANIFEST_VERSION = 1
_TEMPORARY = ".partial-"
_SUFFIX = 8
"""Hex digits that end a temporary name."""
_TEMPORARY_NAME = re.compile(rf"{re.escape(_TEMPORARY)}.+-[0-9a-f]{{{_SUFFIX}}}", re.DOTALL)


def atomic_write(path: Path, data: bytes | str) -> None:
    """Write ``data`` so that ``path`` holds either what it held before or all of ``data``, whatever happens between.

    The folder is made when it is missing. Raises FvrecError when the place cannot be written.
    """
    _write_whole(path, [data.encode("utf-8") if isinstance(data, str) else data])


def atomic_lines(path: Path, lines: Iterable[str]) -> None:
    """The same for a text that is not held in memory: each of ``lines``, and a line feed after it."""
    _write_whole(path, (line.encode("utf-8") + b"\n" for line in lines))


def _write_whole(path: Path, pieces: Iterable[bytes]) -> None:
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise FvrecError(f"cannot write: {error.strerror or error}", where=path) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to build a file or folder under; it takes the place of ``path`` when the block ends well.

    When the block raises, what was built is removed and ``path`` stays as it was.
    """
    temporary = temporary_name(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        replace(temporary, path)
    finally:
        remove(temporary)


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """A folder beside ``path`` for what is needed within the block alone. FvrecError when it cannot be made."""
    temporary = temporary_name(path)
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise FvrecError(f"cannot write: {error.strerror or error}", where=path.parent) from error
    try:
        yield temporary
    finally:
        remove(temporary)


def replace(built: Path, path: Path) -> None:
    """Put the file or folder ``built`` in the place of ``path``, on the same file system, and make that durable."""
    if not built.exists():
        raise FvrecError("an output was announced but not written", where=path)
    for file in _files(built):
        _sync_file(file)
    retired = temporary_name(path)
    if path.exists():
        path.rename(retired)
    built.rename(path)
    _sync_directory(path.parent)
    remove(retired)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it; an absent one is fine. FvrecError when it cannot be."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise FvrecError(f"cannot remove: {error.strerror or error}", where=path) from error


def remove_leftovers(path: Path) -> None:
    """Remove what a killed process was building to put in the place of ``path``. Nobody else may be building it."""
    for leftover in path.parent.glob(f"{_TEMPORARY}{escape(path.name)}-{'[0-9a-f]' * _SUFFIX}"):
        remove(leftover)


def digest_bytes(data: bytes) -> str:
    """SHA-256 as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 of the file's bytes. FvrecError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FvrecError(f"cannot read: {error.strerror or error}", where=path) from error


def digest_json(value: Any) -> str:
    """SHA-256 of the value's canonical JSON: sorted keys, no spaces; paths and other objects by their text."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return digest_bytes(text.encode("utf-8"))


def digest_tree(path: Path) -> str:
    """SHA-256 over the relative names and contents of all files below a folder (of a lone file: of its bytes)."""
    if not path.is_dir():
        return digest_file(path)
    return digest_json({file.relative_to(path).as_posix(): digest_file(file) for file in _files(path)})


def digest_listing(path: Path, *, leave_out: Container[str] = ()) -> str:
    """SHA-256 over names, sizes and times of change of all files below a folder, none of which is opened.

    leave_out: names right below ``path`` that do not count. Links within the folder are followed, each folder once; of
    a link that leads out of it, or nowhere, the link itself counts. The inode's time counts beside the file's own,
    which an archive or a copy can set back. FvrecError when a folder cannot be listed.
    """
    listed, real = hashlib.sha256(), os.path.realpath(path)
    try:
        for name, status in _listing(real, "", real, {real}, leave_out):
            marks = f"\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}\n"
            listed.update(os.fsencode(name) + marks.encode())
    except OSError as error:
        raise FvrecError(f"cannot read: {error.strerror or error}", where=path) from error
    return listed.hexdigest()


def _listing(
    folder: str, prefix: str, top: str, entered: set[str], leave_out: Container[str] = ()
) -> Iterator[tuple[str, os.stat_result]]:
    for entry in _entries(folder, may_be_gone=folder != top):
        name = f"{prefix}{entry.name}"
        if entry.name in leave_out or entry.name.startswith(_TEMPORARY):
            continue
        linked = entry.is_symlink()
        real = _inner(entry, top) if linked else entry.path
        if real is not None and (os.path.isdir(real) if linked else entry.is_dir()):
            if real not in entered:
                entered.add(real)
                yield from _listing(real, f"{name}/", top, entered)
            continue
        # Somebody may still be unpacking or clearing up: what has gone meanwhile is not there.
        with suppress(FileNotFoundError):
            yield name, os.lstat(entry.path if real is None else real)


def _entries(folder: str, *, may_be_gone: bool) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        if may_be_gone:
            return []
        raise


def _inner(link: os.DirEntry[str], top: str) -> str | None:
    """Where a link leads when that is something below ``top``; None when it leads out, nowhere or in a circle."""
    real = os.path.realpath(link.path)
    inside = real == top or real.startswith(f"{top.rstrip(os.sep)}{os.sep}")
    return real if inside and os.path.lexists(real) and not os.path.islink(real) else None


@dataclass(frozen=True)
class Manifest:
    """What one complete stage was made from and what it made.

    inputs: name -> digest of what it read. config: the values that steer it. code: digest of its import closure.
    outputs: path (``output_name``) -> digest; a folder counts as one output. warehouse: relation -> fingerprint of the
    rows that the run wrote. listed: folder that it filled -> digest of its listing, where reading all would be slow.
    """

    stage: str
    run_id: str
    inputs: Mapping[str, str]
    config: Mapping[str, Any]
    code: str
    outputs: Mapping[str, str]
    warehouse: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    version: int = MANIFEST_VERSION
    listed: Mapping[str, str] = field(default_factory=dict)

    @property
    def input_digest(self) -> str:
        """One digest of inputs, configuration and code: equal digests mean that the stage need not run again."""
        return input_digest(self.stage, self.inputs, self.config, self.code)

    def write(self, path: Path) -> None:
        """Write it as JSON, atomically. Call this after everything it names is in place."""
        atomic_write(path, json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False, default=str) + "\n")

    @classmethod
    def read(cls, path: Path) -> Manifest | None:
        """The manifest at ``path``; None when there is none, or none of this version that can be understood."""
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            manifest = cls(**body)
        except (OSError, ValueError, TypeError):
            return None
        return manifest if manifest.version == MANIFEST_VERSION else None


def input_digest(stage: str, inputs: Mapping[str, str], config: Mapping[str, Any], code: str) -> str:
    """The digest that a stage's reuse hangs on, computable before it runs."""
    return digest_json({"stage": stage, "inputs": dict(inputs), "config": dict(config), "code": code})


def output_name(path: Path, root: Path) -> str:
    """The path as manifests name it: relative to the root when it lies below it, absolute otherwise.

    Links are not followed: an output may be one, and its own place is what counts.
    """
    place, base = Path(os.path.abspath(path)), Path(os.path.abspath(root))
    return (place.relative_to(base) if place.is_relative_to(base) else place).as_posix()


def verify(manifest: Manifest, root: Path, names: Container[str] | None = None) -> list[str]:
    """One sentence for each output that is gone or altered since the manifest was written; empty when all is well.

    Only the outputs named in ``names`` are read, when it is given.
    """
    faults = []
    for expected, digest in ((manifest.outputs, digest_tree), (manifest.listed, digest_listing)):
        for name in expected:
            if names is not None and name not in names:
                continue
            path = root / name
            if not path.exists():
                faults.append(f"{name} is gone")
            elif digest(path) != expected[name]:
                faults.append(f"{name} was altered")
    return faults


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith(_TEMPORARY))


def temporary_name(path: Path) -> Path:
    """A fresh name beside ``path``, on the same file system, that digests pass over."""
    return path.with_name(f"{_TEMPORARY}{path.name}-{uuid4().hex[:_SUFFIX]}")


def is_temporary(path: Path) -> bool:
    """Whether the name is one that ``temporary_name`` gives."""
    return _TEMPORARY_NAME.fullmatch(path.name) is not None


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
