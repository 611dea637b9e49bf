"""Several processes and threads on one database: nothing lost, nothing half-seen, no endless waiting."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from fvrec.errors import FvrecError
from fvrec.records import Item, Metric
from warehouse import write
from warehouse.db import migrate, publish, reading, writing
from warehouse.read import Warehouse

PROJECT = Path(__file__).parents[2]

# Each script gets the database as its first argument, prints a line when it has got to the point, and goes on when its
# standard input is closed.
HOLD_FOR_WRITING = """
import sys; from pathlib import Path; from warehouse.db import writing
with writing(Path(sys.argv[1])) as connection:
    connection.execute("DELETE FROM items")
    connection.execute("INSERT INTO quarantine VALUES ('shop', 'x', 'half', '', now())")
    print("ready", flush=True); sys.stdin.read()
"""
COMMIT_AND_HANG = """
import sys; from pathlib import Path; from warehouse.connect import open_for_writing
connection = open_for_writing(Path(sys.argv[1]))
connection.execute("DELETE FROM items WHERE item_id = 'a'")
print("ready", flush=True); sys.stdin.read()
"""
WRITE_METRICS = """
import sys; from pathlib import Path; from fvrec.records import Metric; from warehouse import write
print("ready", flush=True); sys.stdin.read()
for n in range(8):
    write.save_metrics(Path(sys.argv[1]), sys.argv[2], [Metric("test", f"m{n}", float(n))])
"""
PUBLISH = """
import sys; from pathlib import Path; from warehouse.db import publish
print("ready", flush=True); sys.stdin.read()
for _ in range(4):
    publish(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def _start(script: str, *arguments: object) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@contextmanager
def _another_process(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    process = _start(script, *arguments)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _let_go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()


def test_readers_of_the_snapshot_do_not_notice_a_writer(
    live: Path, snapshot: Path, make_item: Callable[..., Item]
) -> None:
    items = [make_item("a"), make_item("b")]
    write.save_items(live, "shop", items, [])
    publish(live, snapshot)
    with _another_process(HOLD_FOR_WRITING, live):
        assert Warehouse(snapshot).items("shop") == items
        with pytest.raises(FvrecError, match="another process still holds"), reading(live, wait_s=0.2):
            pass
        with pytest.raises(FvrecError, match="another process still holds"), writing(live, wait_s=0.2):
            pass
        with pytest.raises(FvrecError, match="another process still holds"):
            publish(live, snapshot, wait_s=0.2)
        assert Warehouse(snapshot).items("shop") == items


def test_a_write_waits_for_the_one_before_it(live: Path, make_item: Callable[..., Item]) -> None:
    write.save_items(live, "shop", [make_item("a")], [])
    with _another_process(HOLD_FOR_WRITING, live) as process:
        timer = threading.Timer(0.5, _let_go, [process])
        timer.start()
        write.save_metrics(live, "run1", [Metric("test", "m", 1.0)])
    assert Warehouse(live).items("shop") == []
    assert [row.reason for row in Warehouse(live).quarantine("shop")] == ["half"]
    assert len(Warehouse(live).metrics(run_id="run1")) == 1


def test_a_killed_writer_leaves_the_rows_as_they_were(live: Path, make_item: Callable[..., Item]) -> None:
    items = [make_item("a"), make_item("b")]
    write.save_items(live, "shop", items, [])
    before = Warehouse(live).fingerprint_source("shop")
    with _another_process(HOLD_FOR_WRITING, live) as process:
        process.kill()
    assert Warehouse(live).fingerprint_source("shop") == before
    assert Warehouse(live).items("shop") == items


def test_what_a_killed_writer_had_committed_is_there(
    live: Path, snapshot: Path, make_item: Callable[..., Item]
) -> None:
    write.save_items(live, "shop", [make_item("a"), make_item("b")], [])
    with _another_process(COMMIT_AND_HANG, live) as process:
        process.kill()
    assert live.with_name("live.duckdb.wal").exists()
    assert [item.item_id for item in Warehouse(live).items("shop")] == ["b"]
    publish(live, snapshot)
    assert [item.item_id for item in Warehouse(snapshot).items("shop")] == ["b"]
    write.save_metrics(live, "run1", [])
    assert [item.item_id for item in Warehouse(live).items("shop")] == ["b"]


def test_writing_processes_and_a_publisher_lose_nothing(live: Path, snapshot: Path) -> None:
    migrate(live)
    publish(live, snapshot)
    writers = [_start(WRITE_METRICS, live, f"run{n}") for n in range(2)]
    processes = [*writers, _start(PUBLISH, live, snapshot)]
    seen = [0]
    for process in processes:
        _let_go(process)
    deadline = time.monotonic() + 120
    while any(process.poll() is None for process in processes):
        assert time.monotonic() < deadline
        seen.append(Warehouse(snapshot).query("SELECT count(*) FROM metrics").rows[0][0])
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert seen == sorted(seen)
    for n in range(2):
        assert len(Warehouse(live).metrics(run_id=f"run{n}")) == 8
    publish(live, snapshot)
    assert Warehouse(snapshot).query("SELECT count(*) FROM metrics").rows == ((16,),)


def test_threads_write_read_and_publish_together(live: Path, snapshot: Path) -> None:
    migrate(live)
    store = Warehouse(live)

    def work(thread: int) -> int:
        for n in range(5):
            write.save_metrics(live, f"run{thread}", [Metric("test", f"m{n}", float(n))])
            assert len(store.metrics(run_id=f"run{thread}")) == n + 1
            if n % 4 == thread:
                publish(live, snapshot)
            if snapshot.exists():
                Warehouse(snapshot).query("SELECT count(*) FROM metrics")
        return thread

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [0, 1, 2, 3]
    assert store.query("SELECT count(*), count(DISTINCT run_id) FROM metrics").rows == ((20, 4),)


def test_a_thread_cannot_lock_itself_out(live: Path) -> None:
    migrate(live)
    with reading(live), reading(live) as inner:
        assert inner.execute("SELECT 1").fetchall() == [(1,)]
    with reading(live), pytest.raises(FvrecError, match="inside a read"), writing(live):
        pass
    for access in (reading, writing):
        with writing(live), pytest.raises(FvrecError, match="already writing"), access(live):
            pass
    write.save_metrics(live, "run1", [Metric("test", "m", 1.0)])


def test_an_error_inside_a_write_undoes_it(live: Path) -> None:
    migrate(live)

    def add_then(fail: Callable[[duckdb.DuckDBPyConnection], object]) -> None:
        with writing(live) as connection:
            connection.execute("INSERT INTO quarantine VALUES ('shop', 'x', 'half', '', now())")
            fail(connection)

    with pytest.raises(ZeroDivisionError):
        add_then(lambda connection: 1 / 0)
    with pytest.raises(FvrecError, match="nowhere"):
        add_then(lambda connection: connection.execute("SELECT * FROM nowhere"))
    assert Warehouse(live).quarantine("shop") == []
