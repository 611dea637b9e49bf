"""Warehouses of every released schema version come forward with no row lost, or stay as they are."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import duckdb
import pytest

from fvrec.errors import FvrecError
from warehouse import write
from warehouse.db import migrate, publish, reading
from warehouse.read import Warehouse
from warehouse.upgrade import MIGRATIONS, load_migrations

FIXTURES = sorted((Path(__file__).parent / "released").glob("schema-*.duckdb.gz"))
Rows = dict[str, tuple[list[str], list[tuple[object, ...]]]]


def _unpack(fixture: Path, live: Path) -> Path:
    live.parent.mkdir(parents=True, exist_ok=True)
    live.write_bytes(gzip.decompress(fixture.read_bytes()))
    return live


def _rows(path: Path, columns: Rows | None = None) -> Rows:
    """relation -> its columns (those of ``columns``, where given) and its rows in order."""
    with duckdb.connect(path, read_only=True) as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables() WHERE table_name <> 'schema_migrations'")
        found: Rows = {}
        for (table,) in tables.fetchall():
            wanted = "*" if columns is None else ", ".join(f'"{name}"' for name in columns[table][0])
            result = connection.execute(f"SELECT {wanted} FROM {table} ORDER BY ALL")
            found[table] = ([column[0] for column in result.description], result.fetchall())
        return found


def _version(fixture: Path) -> int:
    return int(fixture.name.split("-")[1].split(".")[0])


def test_every_released_version_has_a_fixture() -> None:
    assert [_version(fixture) for fixture in FIXTURES] == [migration.version for migration in load_migrations()]


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.name)
def test_it_comes_forward_with_every_row(fixture: Path, live: Path, snapshot: Path) -> None:
    before = _rows(_unpack(fixture, live))
    assert all(rows for _, rows in before.values())
    if _version(fixture) < len(load_migrations()):
        with pytest.raises(FvrecError, match=r"older schema.*migrates it"), reading(live):
            pass
    migrate(live)
    assert _rows(live, before) == before
    warehouse = Warehouse(live)
    assert len(warehouse.items("shop")) == 12
    assert len(warehouse.predictions("extract-2")) == 13
    assert {row.value for row in warehouse.metrics(run_id="extract-1")} == {0.5}
    publish(live, snapshot)
    assert _rows(snapshot.resolve(), before) == before


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.name)
def test_a_write_brings_it_forward_too(fixture: Path, live: Path) -> None:
    before = _rows(_unpack(fixture, live))
    write.save_metrics(live, "another", [])
    assert _rows(live, before) == before


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.name)
def test_a_migration_that_fails_leaves_it_as_the_last_good_one_made_it(
    fixture: Path, live: Path, tmp_path: Path
) -> None:
    before = _rows(_unpack(fixture, live))
    folder = Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))
    number = len(load_migrations()) + 1
    (folder / f"{number:04d}_bad.sql").write_text("DELETE FROM items; DROP TABLE users; SELECT error('no');")
    with pytest.raises(FvrecError, match="rolled back whole"):
        migrate(live, migrations=folder)
    assert _rows(live, before) == before
    migrate(live)
    assert _rows(live, before) == before


def test_a_newer_one_is_refused_and_untouched(live: Path) -> None:
    _unpack(FIXTURES[-1], live)
    with duckdb.connect(live) as connection:
        connection.execute("INSERT INTO schema_migrations (version, name) VALUES (9000, 'later')")
        connection.execute("ALTER TABLE items ADD COLUMN later INTEGER")
    before = live.read_bytes()
    for attempt in (lambda: migrate(live), lambda: write.clear_run(live, "extract-1"), Warehouse(live).runs):
        with pytest.raises(FvrecError, match=r"made by a newer version of fvrec: upgrade fvrec, or move the file away"):
            attempt()
    assert live.read_bytes() == before
