"""``python -m tests.faults.filled DISK``: a warehouse on a small disk, with less and less room, line by line.

For each amount of room: rows are committed until the disk is full, and a snapshot is published; then the disk is given
room again, and the live database must hold what was committed, the snapshot what was published.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fvrec.artifacts import remove
from fvrec.errors import FvrecError
from fvrec.records import Metric
from warehouse import write
from warehouse.db import publish
from warehouse.read import Warehouse

ROWS = 400
"""Of one commit."""


@contextmanager
def room(disk: Path, kilobytes: int) -> Iterator[None]:
    """No more than so much is free on the disk, for a while."""
    ballast = disk / "ballast"
    free = os.statvfs(disk)
    with ballast.open("wb") as file:
        for _ in range(max(0, free.f_bavail * free.f_bsize - 1024 * kilobytes) // 4096):
            file.write(bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()


def fill(disk: Path, kilobytes: int) -> str:
    """What the full disk was told as, after ``as it was: ``; or what is not as it was."""
    folder = disk / "warehouse"
    remove(folder)
    live, snapshot = folder / "live.duckdb", folder / "current.duckdb"
    _commit(live, 0)
    publish(live, snapshot)
    committed, published, said = 1, 1, ""
    with room(disk, kilobytes):
        try:
            for number in range(1, 200):
                _commit(live, number)
                committed += 1
                if number % 3 == 0:
                    publish(live, snapshot)
                    published = committed
        except FvrecError as error:
            said = str(error)
    found = [_runs(path) for path in (live, snapshot)]
    if found != [committed, published] or not said or list(folder.glob("*.partial*")):
        return f"{kilobytes} kB: committed {committed}, published {published}, found {found}, told {said!r}"
    with suppress(FvrecError):
        _commit(live, committed)
        publish(live, snapshot)
        return f"as it was: {said}"
    return f"{kilobytes} kB: no way on after there was room again"


def _commit(live: Path, number: int) -> None:
    rows = [Metric("test", f"m{n}", float(n), slice=f"some words to take room {n}") for n in range(ROWS)]
    write.save_metrics(live, f"run{number:04d}", rows)


def _runs(path: Path) -> int:
    """Runs whose rows are all there; one that is torn counts as none."""
    counts = Warehouse(path).query("SELECT count(*) FROM metrics GROUP BY run_id").rows
    return sum(count == ROWS for (count,) in counts)


if __name__ == "__main__":
    for kilobytes in (0, 40, 150, 300, 500, 700, 900, 1200, 1600, 2200, 3000):
        print(fill(Path(sys.argv[1]), kilobytes), flush=True)
