"""A snapshot is whole, the switch is atomic, old ones go when nobody reads them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from fvrec.errors import FvrecError
from fvrec.records import Item
from warehouse import write
from warehouse.db import migrate, publish, reading
from warehouse.read import Warehouse


def test_a_snapshot_is_the_whole_live_database(live: Path, snapshot: Path, make_item: Callable[..., Item]) -> None:
    items = [make_item("a"), make_item("b")]
    write.save_items(live, "shop", items, [])
    file = publish(live, snapshot)
    assert snapshot.resolve() == file
    assert snapshot.is_symlink()
    assert file.stat().st_mode & 0o222 == 0
    assert Warehouse(snapshot).items("shop") == items
    assert Warehouse(snapshot).fingerprint_source("shop") == Warehouse(live).fingerprint_source("shop")
    catalogue = "SELECT view_name, column_count, comment FROM duckdb_views() WHERE NOT internal ORDER BY 1"
    assert Warehouse(snapshot).query(catalogue) == Warehouse(live).query(catalogue)
    assert sorted(path.name for path in live.parent.glob("*.wal")) == []


def test_a_snapshot_that_is_read_stays_until_nobody_reads_it(
    live: Path, snapshot: Path, make_item: Callable[..., Item]
) -> None:
    write.save_items(live, "shop", [make_item("old")], [])
    first = publish(live, snapshot)
    with reading(snapshot) as connection:
        for name in ("new", "newer", "newest"):
            write.save_items(live, "shop", [make_item(name)], [])
            newest = publish(live, snapshot, keep=1)
        assert sorted(live.parent.glob("snapshot-*")) == [first, newest]
        assert connection.execute("SELECT item_id FROM items").fetchall() == [("old",)]
        assert [item.item_id for item in Warehouse(snapshot).items("shop")] == ["newest"]
    newest = publish(live, snapshot, keep=1)
    assert sorted(live.parent.glob("snapshot-*")) == [newest]


READ = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
print("ready", flush=True); sys.stdin.read()
"""


def test_a_snapshot_that_another_program_reads_stays_too(live: Path, snapshot: Path) -> None:
    migrate(live)
    first = publish(live, snapshot)
    command = [sys.executable, "-c", READ, str(first)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        second = publish(live, snapshot, keep=1)
        assert sorted(live.parent.glob("snapshot-*")) == [first, second]
        assert first.stat().st_mode & 0o222 == 0
        reader.communicate()
    third = publish(live, snapshot, keep=1)
    assert sorted(live.parent.glob("snapshot-*")) == [third]


def test_only_the_last_snapshots_stay(live: Path, snapshot: Path) -> None:
    migrate(live)
    made = [publish(live, snapshot) for _ in range(5)]
    assert sorted(live.parent.glob("snapshot-*")) == made[-3:]
    assert made == sorted(made)


def test_a_failed_publication_leaves_the_link_and_no_litter(
    live: Path, snapshot: Path, make_item: Callable[..., Item]
) -> None:
    write.save_items(live, "shop", [make_item("a")], [])
    first = publish(live, snapshot)
    (live.parent / "snapshot-20260101T000000Z-000009.partial").write_bytes(b"left by a killed publisher")
    live.write_bytes(b"not a database" * 1000)
    with pytest.raises(FvrecError, match=r"live\.duckdb"):
        publish(live, snapshot)
    assert snapshot.resolve() == first
    assert list(live.parent.glob("*.partial*")) == []
    assert len(Warehouse(snapshot).items("shop")) == 1


def test_mistaken_paths_are_explained(live: Path, snapshot: Path, make_item: Callable[..., Item]) -> None:
    with pytest.raises(FvrecError, match="fvrec run"):
        publish(live, snapshot)
    with pytest.raises(FvrecError, match="fvrec run"):
        Warehouse(snapshot).runs()
    migrate(live)
    publish(live, snapshot)
    with pytest.raises(FvrecError, match="read-only"):
        write.save_items(snapshot, "shop", [make_item("a")], [])
    taken = live.parent / "taken.duckdb"
    duckdb.connect(taken).close()
    with pytest.raises(FvrecError, match="not a link"):
        publish(live, taken)


def test_the_folder_can_be_moved_with_its_link(
    live: Path, snapshot: Path, tmp_path: Path, make_item: Callable[..., Item]
) -> None:
    write.save_items(live, "shop", [make_item("a")], [])
    publish(live, snapshot)
    moved = live.parent.rename(tmp_path / "moved 'elsewhere'")
    assert len(Warehouse(moved / snapshot.name).items("shop")) == 1
    publish(moved / live.name, moved / snapshot.name)
    assert len(Warehouse(moved / snapshot.name).items("shop")) == 1
