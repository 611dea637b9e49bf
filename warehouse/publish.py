"""Publication: a whole new file beside the live one, then one atomic switch of the link that everybody opens.

Replacing the same path in place would serve old pages to a process that holds it open, and a half-copied file to one
that opens it in between. Hence versioned names (``snapshot-<time>-<n>.duckdb``) and a link.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from fvrec.errors import FvrecError
from warehouse.connect import WAIT_S, explained, require_database, wait_for_lock
from warehouse.locks import lock_of
from warehouse.turns import turn

_HOLES = 0.2
"""Share of empty blocks from which on a copy leaves them out."""
KEEP = 3
"""Snapshots that stay, the published one included: a reader that has just resolved the link finds its file there."""


def publish(live: Path, snapshot: Path, *, keep: int = KEEP, wait_s: float = WAIT_S) -> Path:
    """Copy the live database to a new snapshot beside ``snapshot``, then point that link at it; returns the new file.

    The copy is one consistent state: complete, read-only and synced to disk before the switch. Older snapshots than the
    last ``keep`` are removed, but for those that somebody still reads: a later publication removes them.
    FvrecError when there is no live database, it stays held, or the copy fails: the link is then left as it was.
    """
    require_database(live)
    if snapshot.exists() and not snapshot.is_symlink():
        raise FvrecError("the snapshot's name is taken by a file that is not a link", where=snapshot)
    try:
        snapshot.parent.mkdir(parents=True, exist_ok=True)
        with _one_publisher(snapshot):
            target = _new_snapshot(live, snapshot, wait_s)
            _switch(snapshot, target)
            _remove_old(snapshot, keep)
    except OSError as error:
        raise FvrecError(f"cannot publish: {error.strerror or error}", where=snapshot) from error
    return target


def _new_snapshot(live: Path, snapshot: Path, wait_s: float) -> Path:
    for leftover in unpublished(snapshot):
        leftover.unlink(missing_ok=True)
    target = _next_name(snapshot.parent)
    partial = target.with_suffix(".partial")
    try:
        copy(live, partial, wait_s=wait_s)
        partial.chmod(0o444)  # a client that opened it for writing would lock every other reader out
        partial.rename(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return target


def copy(live: Path, target: Path, *, wait_s: float = WAIT_S) -> None:
    """One consistent state of the live database as a file that stands alone, synced; ``target`` must not be there yet.

    FvrecError when there is no live database, it stays held, or the copy fails: then nothing is left.
    """
    require_database(live)
    try:
        with lock_of(live).shared(), explained(live), turn(live, exclusive=False, wait_s=wait_s):
            _copy(live, target, wait_s)
        _sync(target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def unpublished(snapshot: Path) -> list[Path]:
    """What publications that were cut short left beside the link: copies in the making, and a link not yet switched."""
    return [*snapshot.parent.glob("snapshot-*.partial*"), *snapshot.parent.glob(_new_link(snapshot).name)]


def _copy(live: Path, target: Path, wait_s: float) -> None:
    """The databases are attached to a connection of their own: ``USE`` and settings of readers stay untouched."""
    with duckdb.connect() as connection:
        source = f"ATTACH '{_quoted(live)}' AS live (READ_ONLY)"
        wait_for_lock(lambda: connection.execute(source), live, wait_s)
        expected = _counts(connection, "live")
        if _is_compact(connection, live):
            _clone(live, target)
            connection.execute(f"ATTACH '{_quoted(target)}' AS published (READ_ONLY)")
        else:
            connection.execute(f"ATTACH '{_quoted(target)}' AS published")
            connection.execute("COPY FROM DATABASE live TO published")
        copied = _counts(connection, "published")
        if copied != expected:
            raise FvrecError("the copy is not complete", where=target, found=copied, allowed=str(expected))
        # DETACH checkpoints: afterwards the file stands alone, without a write-ahead log.
        connection.execute("DETACH published")


def _is_compact(connection: duckdb.DuckDBPyConnection, live: Path) -> bool:
    """Whether the file alone is the database, with few blocks that hold nothing any more: then it is copied as it is,
    at the speed of the disk. Otherwise its rows are written anew, which leaves the holes behind.
    """
    log = live.with_name(f"{live.name}.wal")
    if log.exists() and log.stat().st_size:
        return False
    sizes = "SELECT total_blocks, free_blocks FROM pragma_database_size() WHERE database_name = 'live'"
    total, free = connection.execute(sizes).fetchall()[0]
    return bool(free <= _HOLES * total)


def _clone(live: Path, target: Path) -> None:
    """By another process: closing a file gives up every lock that this one has on it, the database's among them.

    No writer comes in between, as the database is attached for reading.
    """
    command = ["cp", "--reflink=auto", "--", str(live), str(target)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - fixed words and two paths
    if ended.returncode:
        raise FvrecError("the snapshot cannot be written", where=target, found=ended.stderr.strip())


def _counts(connection: duckdb.DuckDBPyConnection, database: str) -> dict[str, int]:
    tables = connection.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = ?", [database]).fetchall()
    return {
        name: connection.execute(f'SELECT count(*) FROM {database}."{name}"').fetchall()[0][0]  # noqa: S608
        for (name,) in tables
    }


@contextmanager
def _one_publisher(snapshot: Path) -> Iterator[None]:
    """Publishers queue up, over processes too: the last one to copy must be the last one to switch."""
    with (snapshot.parent / ".publish.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _next_name(folder: Path) -> Path:
    """A name that sorts after every other: the counter rises even when the clock is set back."""
    taken = [int(file.stem.rsplit("-", 1)[1]) for file in _snapshots(folder)]
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return folder / f"snapshot-{stamp}-{max(taken, default=0) + 1:06d}.duckdb"


def _snapshots(folder: Path) -> list[Path]:
    """Snapshots, oldest first, by their counter."""
    found = [file for file in folder.glob("snapshot-*-*.duckdb") if file.stem.rsplit("-", 1)[1].isdigit()]
    return sorted(found, key=lambda file: int(file.stem.rsplit("-", 1)[1]))


def _switch(link: Path, target: Path) -> None:
    new = _new_link(link)
    new.unlink(missing_ok=True)
    new.symlink_to(target.name)  # relative, so that the folder can be moved as a whole
    os.replace(new, link)
    _sync(link.parent)


def _new_link(link: Path) -> Path:
    return link.with_name(f".{link.name}.new")


def _remove_old(link: Path, keep: int) -> None:
    current = link.resolve()
    for file in _snapshots(link.parent)[: -max(keep, 1)]:
        if file.resolve() != current:
            with lock_of(file).at_once() as unread_here:
                if unread_here and not _is_read_elsewhere(file):
                    file.unlink(missing_ok=True)


def _is_read_elsewhere(file: Path) -> bool:
    """Whether another process has the snapshot open: DuckDB's readers hold a shared lock on the file.

    An exclusive one can only be asked for through a handle for writing, hence the change of mode.
    """
    try:
        file.chmod(0o644)
        with file.open("r+b") as opened:
            fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    finally:
        with suppress(PermissionError):  # another user's: it stays, and the publication holds
            file.chmod(0o444)
    return False


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
