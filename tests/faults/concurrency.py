"""Many processes on one warehouse: writers that each repeat what a stage does, readers of the published snapshot.

    python -m tests.faults.concurrency --minutes 10 --json /tmp/concurrency.json

Every writer journals what it has committed; every reader checks that what it sees is whole and never goes back. At the
end all that was journaled must be there. Short: ``tests/faults/test_concurrency.py``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fvrec.records import AttributeValue, Item, Metric, Prediction, Run, utc_now
from fvrec.schema import FIELDS, UNKNOWN
from warehouse import write
from warehouse.db import migrate, publish, reading
from warehouse.read import Warehouse

ITEMS, METRICS, PREDICTIONS = 20, 15, 20
"""Rows of one run: each writer replaces its source's items whole and adds the rest under the run's name."""
LONG_READ_S = 2.0
_RUNS = """
SELECT r.run_id,
    (SELECT count(*) FROM metrics AS m WHERE m.run_id = r.run_id),
    (SELECT count(*) FROM predicted_attributes AS p WHERE p.run_id = r.run_id)
FROM runs AS r WHERE r.status = 'complete'
"""


@dataclass(frozen=True)
class Tally:
    """What one process did: runs written or reads made, publications, and its errors in words."""

    done: int
    published: int = 0
    errors: tuple[str, ...] = ()
    slowest_s: float = 0.0


@dataclass(frozen=True)
class Place:
    """The database, the link to its snapshot, and where the journals lie."""

    folder: Path

    @property
    def live(self) -> Path:
        return self.folder / "live.duckdb"

    @property
    def snapshot(self) -> Path:
        return self.folder / "current.duckdb"

    def journal(self, writer: int) -> Path:
        return self.folder / f"writer-{writer}.txt"


def _items(source: str, generation: int) -> list[Item]:
    known = {field: AttributeValue(UNKNOWN, "unknown") for field in FIELDS}
    return [
        Item(f"{source}-{n}", source, f"g{n}", "test", f"{n}.jpg", "ab" * 32, f"generation {generation}", "", {}, known)
        for n in range(ITEMS)
    ]


def _predictions() -> list[Prediction]:
    values, sure = dict.fromkeys(FIELDS, UNKNOWN), dict.fromkeys(FIELDS, 0.5)
    return [
        Prediction(f"i{n}", "lora", "image", "raw", "{}", True, True, attributes=values, confidence=sure)
        for n in range(PREDICTIONS)
    ]


def write_until(place: Place, number: int, deadline: float, publish_every: int) -> Tally:
    """What the stages of a flow do to the warehouse, again and again."""
    done, published, slowest, source = 0, 0, 0.0, f"shop{number}"
    errors: list[str] = []
    while time.monotonic() < deadline:
        run = Run(f"{source}-{done:06d}", "drill", "drill", "smoke", source, "c0de", {}, utc_now())
        started = time.monotonic()
        try:
            write.save_run(place.live, run)
            write.save_items(place.live, source, _items(source, done), [])
            write.save_predictions(place.live, run.run_id, _predictions())
            write.save_metrics(place.live, run.run_id, [Metric("drill", f"m{n}", float(n)) for n in range(METRICS)])
            ended = Run(**{**_fields(run), "finished_at": utc_now(), "status": "complete"})
            write.save_run(place.live, ended)
            with place.journal(number).open("a") as journal:
                journal.write(f"{run.run_id}\n")
            done += 1
            if done % publish_every == 0:
                publish(place.live, place.snapshot)
                published += 1
        except Exception as error:  # whatever it is, it is a failure of the drill and is told
            errors.append(f"{type(error).__name__}: {error}")
        slowest = max(slowest, time.monotonic() - started)
    return Tally(done, published, tuple(errors), round(slowest, 2))


def _fields(run: Run) -> dict[str, Any]:
    return {name: getattr(run, name) for name in run.__dataclass_fields__}


def read_until(place: Place, number: int, deadline: float) -> Tally:
    """Short reads of the newest snapshot; every other reader also keeps one open for a while, over publications."""
    done, newest, slowest = 0, 0, 0.0
    errors: list[str] = []
    while time.monotonic() < deadline:
        started = time.monotonic()
        try:
            with reading(place.snapshot) as connection:
                first = _whole(connection.execute(_RUNS).fetchall())
                generations = connection.execute("SELECT count(DISTINCT title), count(*) FROM items GROUP BY source")
                if any(counts != (1, ITEMS) for counts in generations.fetchall()):
                    raise AssertionError("a source's items are of two generations")
                if number % 2 and done % 20 == 0:
                    time.sleep(LONG_READ_S)
                    started += LONG_READ_S
                    if _whole(connection.execute(_RUNS).fetchall()) != first:
                        raise AssertionError("a snapshot changed under its reader")
            if first < newest:
                raise AssertionError(f"{newest} runs were there, and then {first}")
            newest, done = first, done + 1
        except Exception as error:  # as above
            errors.append(f"{type(error).__name__}: {error}")
        slowest = max(slowest, time.monotonic() - started)
        time.sleep(0.02)
    return Tally(done, errors=tuple(errors), slowest_s=round(slowest, 2))


def _whole(rows: Sequence[tuple[Any, ...]]) -> int:
    torn = [row for row in rows if row[1:] != (METRICS, PREDICTIONS * len(FIELDS))]
    if torn:
        raise AssertionError(f"a complete run lacks rows: {torn[0]}")
    return len(rows)


def drill(
    folder: Path, seconds: float, *, writers: int = 4, readers: int = 8, publish_every: int = 5
) -> dict[str, Any]:
    """Run all of them; counts, errors, and how many journaled runs are not in the live file or the last snapshot."""
    place = Place(folder)
    folder.mkdir(parents=True, exist_ok=True)
    migrate(place.live)
    publish(place.live, place.snapshot)
    deadline = time.monotonic() + seconds
    work = [(write_until, (place, n, deadline, publish_every)) for n in range(writers)]
    watch = [(read_until, (place, n, deadline)) for n in range(readers)]
    with multiprocessing.get_context("spawn").Pool(writers + readers) as pool:
        wrote, read = ([pool.apply_async(*task) for task in tasks] for tasks in (work, watch))
        wrote, read = [[one.get() for one in waiting] for waiting in (wrote, read)]
    publish(place.live, place.snapshot)
    journaled = {
        line for n in range(writers) if place.journal(n).exists() for line in place.journal(n).read_text().split()
    }
    return {
        "seconds": seconds,
        "writers": writers,
        "readers": readers,
        "runs_written": sum(one.done for one in wrote),
        "publications": sum(one.published for one in wrote),
        "reads": sum(one.done for one in read),
        "writer_errors": [error for one in wrote for error in one.errors][:20],
        "reader_errors": [error for one in read for error in one.errors][:20],
        "lost_live": sorted(journaled - _complete(place.live)),
        "lost_published": sorted(journaled - _complete(place.snapshot)),
        "slowest_run_s": max(one.slowest_s for one in wrote),
        "slowest_read_s": max(one.slowest_s for one in read),
        "snapshots_left": len(list(folder.glob("snapshot-*"))),
        "live_bytes": place.live.stat().st_size,
        "tallies": [asdict(one) for one in (*wrote, *read)],
    }


def _complete(path: Path) -> set[str]:
    rows = Warehouse(path).query(_RUNS).rows
    _whole(rows)
    return {row[0] for row in rows}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the drill; 1 when anything was lost or any process met an error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="fvrec-concurrency-") as folder:
        made = drill(Path(folder), 60 * given.minutes)
    given.json.write_text(json.dumps(made, indent=1) + "\n")
    bad = [name for name in ("writer_errors", "reader_errors", "lost_live", "lost_published") if made[name]]
    print(json.dumps({name: value for name, value in made.items() if name != "tallies"}, indent=1))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
