"""Unpacking an archive that came from elsewhere: nothing lands outside the folder, and nothing grows without end."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from fvrec.errors import FvrecError
from fvrec.parallel import Progress, Sized
from fvrec.sources.mapping import leaves_folder

MAX_RATIO = 100
"""A photo hardly shrinks and a table shrinks ten times: what grows more than this is no catalogue."""
MAX_MEMBERS = 2_000_000
MAX_READ = 1 << 22
"""Bytes of one piece of a tar: a header that announces a longer name or extension is made to fill the memory."""
_ALLOWED = "a zip or tar archive as Kaggle serves it"


@dataclass(frozen=True)
class Member:
    """One file of an archive: its name, its size when unpacked, and its position in the archive's list."""

    name: str
    size: int
    position: int


def unpack(archive: Path, folder: Path, progress: Progress = iter) -> int:
    """Unpack the regular files of a zip or tar into ``folder``, which must not be there yet; returns how many.

    FvrecError when a name leads out of the folder, a member is a link or a device, the contents are more than
    ``MAX_RATIO`` times the archive or more than the disk has, or the archive is broken. Then nothing is left behind.
    """
    if folder.exists():
        raise FvrecError("the folder to unpack into is there already", where=folder)
    try:
        with _opened(archive) as opened:
            members = opened.members()
            _check(archive, folder, members)
            folder.mkdir(parents=True)
            for member in progress(Sized(iter(members), len(members))):
                _write(opened.open(member), folder / member.name, member)
    except (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError, NotImplementedError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise FvrecError(f"cannot unpack: {error}", where=archive, allowed=_ALLOWED) from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return len(members)


class _Zip:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive, self._infos = archive, archive.infolist()

    def members(self) -> list[Member]:
        for info in self._infos:
            if (info.external_attr >> 16) & 0o170000 == 0o120000:
                raise FvrecError("the archive holds a link", where=self._archive.filename, found=info.filename[:200])
        found = (Member(info.filename, info.file_size, at) for at, info in enumerate(self._infos) if not info.is_dir())
        return list(found)

    def open(self, member: Member) -> IO[bytes]:
        return self._archive.open(self._infos[member.position])


class _Tar:
    def __init__(self, archive: tarfile.TarFile, path: Path) -> None:
        self._archive = archive
        self._infos = [*self._listed(path)]

    def _listed(self, path: Path) -> Iterator[tarfile.TarInfo]:
        """The members as their headers come: a size out of proportion stops before the contents are gone through."""
        total = count = 0
        for info in self._archive:
            total, count = total + info.size, count + 1
            _require_proportion(path, total, count)
            yield info

    def members(self) -> list[Member]:
        for info in self._infos:
            if not (info.isreg() or info.isdir()):
                raise FvrecError(
                    "the archive holds a link or a device", where=self._archive.name, found=info.name[:200]
                )
        return [Member(info.name, info.size, at) for at, info in enumerate(self._infos) if info.isreg()]

    def open(self, member: Member) -> IO[bytes]:
        file = self._archive.extractfile(self._infos[member.position])
        if file is None:
            raise tarfile.TarError(f"{member.name} cannot be read")
        return file


@contextmanager
def _opened(archive: Path) -> Iterator[_Zip | _Tar]:
    if not archive.is_file():
        raise FvrecError("the archive is missing", where=archive, allowed=_ALLOWED)
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield _Zip(opened)
        return
    with _decompressed(archive) as stream:
        try:
            opened_tar = tarfile.open(name=str(archive), fileobj=cast(IO[bytes], _Bounded(stream, archive)), mode="r:")  # noqa: SIM115
        except (tarfile.ReadError, EOFError, gzip.BadGzipFile, lzma.LZMAError) as error:
            raise FvrecError("not an archive", where=archive, allowed=_ALLOWED) from error
        with opened_tar:
            yield _Tar(opened_tar, archive)


class _Bounded:
    """A stream that neither gives more at once than ``MAX_READ`` nor goes on past the archive's proportion."""

    def __init__(self, stream: IO[bytes], archive: Path) -> None:
        self._stream, self._archive = stream, archive

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_READ:
            raise FvrecError("a header of the archive is out of proportion", where=self._archive, found=f"{size} bytes")
        return self._stream.read(size)

    def seek(self, place: int, whence: int = 0) -> int:
        _require_proportion(self._archive, place if whence == 0 else 0)
        return self._stream.seek(place, whence)

    def tell(self) -> int:
        return self._stream.tell()


_MAGIC: Mapping[bytes, Callable[[Path], IO[bytes]]] = {
    b"\x1f\x8b": lambda path: cast(IO[bytes], gzip.open(path)),  # noqa: SIM115 - closed by who calls
    b"BZh": lambda path: cast(IO[bytes], bz2.open(path)),  # noqa: SIM115 - closed by who calls
    b"\xfd7zXZ": lambda path: cast(IO[bytes], lzma.open(path)),  # noqa: SIM115 - closed by who calls
}


def _decompressed(archive: Path) -> IO[bytes]:
    with archive.open("rb") as file:
        head = file.read(8)
    opener = next((opener for magic, opener in _MAGIC.items() if head.startswith(magic)), None)
    return archive.open("rb") if opener is None else opener(archive)


def _check(archive: Path, folder: Path, members: list[Member]) -> None:
    outside = next((member.name for member in members if leaves_folder(member.name) or "\0" in member.name), None)
    if outside is not None:
        raise FvrecError("the archive holds a name that leads out of the folder", where=archive, found=outside[:200])
    total = sum(member.size for member in members)
    _require_proportion(archive, total, len(members))
    home = next(parent for parent in folder.absolute().parents if parent.exists())
    free = shutil.disk_usage(home).free
    if total > free:
        raise FvrecError("the disk is too small for the archive's contents", where=home, found=f"{free} bytes free",
                         allowed=f"{total} bytes")  # fmt: skip


def _require_proportion(archive: Path, total: int, members: int = 0) -> None:
    """FvrecError when so many bytes, or files, are more than an archive of this size holds."""
    if members > MAX_MEMBERS:
        raise FvrecError("too many files in the archive", where=archive, found=members, allowed=f"{MAX_MEMBERS}")
    if total > MAX_RATIO * max(archive.stat().st_size, 1 << 16):
        raise FvrecError(
            "the archive's contents are out of proportion", where=archive, found=f"{total} bytes",
            allowed=f"{MAX_RATIO} times the archive",
        )  # fmt: skip


def _write(source: IO[bytes], path: Path, member: Member) -> None:
    """Copy no more than was announced: sizes in an archive's list may lie."""
    path.parent.mkdir(parents=True, exist_ok=True)
    left = member.size
    with source, path.open("xb") as target:
        while block := source.read(1 << 20):
            left -= len(block)
            if left < 0:
                raise FvrecError("a file is larger than its archive says", where=path, allowed=f"{member.size} bytes")
            target.write(block)
