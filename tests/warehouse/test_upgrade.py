"""Migrations go forward, whole or not at all; views are what their files say."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import duckdb
import pytest

from fvrec import records
from fvrec.errors import FvrecError
from fvrec.records import Item
from warehouse import write
from warehouse.db import migrate, reading, writing
from warehouse.read import Warehouse
from warehouse.upgrade import MIGRATIONS, VIEWS, load_migrations

_RECORD_OF = {
    "items": records.Item,
    "quarantine": records.Quarantined,
    "runs": records.Run,
    "predictions": records.Prediction,
    "metrics": records.Metric,
    "confusions": records.Confusion,
    "curves": records.CurvePoint,
    "rankings": records.Ranking,
    "users": records.User,
    "interactions": records.Interaction,
    "embeddings": records.Embedding,
}


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    """A copy of the shipped migrations that a test may add to."""
    return Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))


def _tables(path: Path) -> set[str]:
    with duckdb.connect(path, read_only=True) as connection:
        return {row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}


def test_every_record_field_is_a_column_of_its_relation(live: Path) -> None:
    migrate(live)
    for relation, record in _RECORD_OF.items():
        columns = set(Warehouse(live).query(f"SELECT * FROM {relation}").columns)
        elsewhere = {"attributes", "confidence"}  # one row a field, in a relation of their own
        assert {field.name for field in fields(record)} - elsewhere <= columns, relation


def test_migrating_twice_changes_nothing(live: Path, make_item: Callable[..., Item]) -> None:
    write.save_items(live, "shop", [make_item("a")], [])
    before = Warehouse(live).query("FROM schema_migrations").rows
    migrate(live)
    assert Warehouse(live).query("FROM schema_migrations").rows == before
    assert len(Warehouse(live).items("shop")) == 1


def test_a_new_migration_keeps_the_rows(live: Path, migrations: Path, make_item: Callable[..., Item]) -> None:
    write.save_items(live, "shop", [make_item("a"), make_item("b")], [])
    number = len(load_migrations()) + 1
    (migrations / f"{number:04d}_brand.sql").write_text("ALTER TABLE items ADD COLUMN brand VARCHAR DEFAULT '';")
    migrate(live, migrations=migrations)
    with duckdb.connect(live, read_only=True) as connection:
        assert connection.execute("SELECT item_id, brand FROM items ORDER BY 1").fetchall() == [("a", ""), ("b", "")]
        assert connection.execute("SELECT max(version) FROM schema_migrations").fetchall() == [(number,)]


def test_a_failing_migration_leaves_no_trace_but_the_ones_before_it(
    live: Path, migrations: Path, make_item: Callable[..., Item]
) -> None:
    write.save_items(live, "shop", [make_item("a")], [])
    number = len(load_migrations()) + 1
    (migrations / f"{number:04d}_good.sql").write_text("CREATE TABLE good (x INTEGER);")
    (migrations / f"{number + 1:04d}_bad.sql").write_text(
        "CREATE TABLE half (x INTEGER); DELETE FROM items; ALTER TABLE nowhere ADD COLUMN y INTEGER;"
    )
    with pytest.raises(FvrecError, match=rf"rolled back whole.*{number + 1:04d}_bad\.sql"):
        migrate(live, migrations=migrations)
    assert "good" in _tables(live)
    assert "half" not in _tables(live)
    with duckdb.connect(live, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM items").fetchall() == [(1,)]
        assert connection.execute("SELECT max(version) FROM schema_migrations").fetchall() == [(number,)]


@pytest.mark.parametrize(
    ("name", "sql", "message"),
    [
        ("0009_gap.sql", "SELECT 1;", "gap"),
        ("later.sql", "SELECT 1;", "no number"),
        ("{next:04d}_commits.sql", "CREATE TABLE t (x INTEGER); COMMIT;", "transaction"),
    ],
)
def test_a_migration_that_could_not_be_trusted_is_refused(
    live: Path, migrations: Path, name: str, sql: str, message: str
) -> None:
    (migrations / name.format(next=len(load_migrations()) + 1)).write_text(sql)
    with pytest.raises(FvrecError, match=message):
        migrate(live, migrations=migrations)
    assert not live.exists() or "t" not in _tables(live)


def test_a_newer_database_is_refused_with_advice(live: Path, make_item: Callable[..., Item]) -> None:
    write.save_items(live, "shop", [make_item("a")], [])
    with writing(live) as connection:
        connection.execute("INSERT INTO schema_migrations (version, name) VALUES (9000, 'from_the_future')")
    for attempt in (
        lambda: migrate(live),
        lambda: write.save_items(live, "shop", [], []),
        lambda: Warehouse(live).items("shop"),
    ):
        with pytest.raises(FvrecError, match="upgrade fvrec"):
            attempt()
    with duckdb.connect(live, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM items").fetchall() == [(1,)]


def test_an_older_database_is_migrated_by_a_write_and_refused_by_a_read(live: Path) -> None:
    live.parent.mkdir()
    duckdb.connect(live).close()
    with pytest.raises(FvrecError, match="older schema"), reading(live):
        pass
    write.save_metrics(live, "run1", [])
    assert Warehouse(live).runs() == []


def test_a_file_that_is_no_database_is_named(live: Path) -> None:
    live.parent.mkdir()
    live.write_text("item_id,title\n" * 1000)
    for attempt in (lambda: Warehouse(live).runs(), lambda: migrate(live)):
        with pytest.raises(FvrecError, match=r"live\.duckdb"):
            attempt()
    assert live.read_text().startswith("item_id")


def test_views_follow_their_files(live: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(VIEWS, tmp_path / "views"))
    (folder / "a_first_by_name.sql").write_text("CREATE VIEW a_first_by_name AS SELECT * FROM z_needed_by_a;")
    (folder / "z_needed_by_a.sql").write_text("CREATE VIEW z_needed_by_a AS SELECT 1 AS x;")
    migrate(live, views=folder)
    assert Warehouse(live).query("FROM a_first_by_name").rows == ((1,),)
    migrate(live)
    names = {row[0] for row in Warehouse(live).query("SELECT view_name FROM duckdb_views() WHERE NOT internal").rows}
    assert names == {file.stem for file in VIEWS.glob("*.sql")}


def test_a_broken_view_keeps_the_old_ones(live: Path, tmp_path: Path) -> None:
    migrate(live)
    folder = Path(shutil.copytree(VIEWS, tmp_path / "views"))
    (folder / "low_confidence.sql").write_text("CREATE VIEW low_confidence AS SELECT nothing FROM nowhere;")
    with pytest.raises(FvrecError, match=r"low_confidence\.sql"):
        migrate(live, views=folder)
    assert Warehouse(live).query("FROM low_confidence").rows == ()
    (folder / "low_confidence.sql").write_text("CREATE VIEW low_confidence AS FROM latest_runs;")
    (folder / "latest_runs.sql").write_text("CREATE VIEW latest_runs AS FROM low_confidence;")
    with pytest.raises(FvrecError, match="circle"):
        migrate(live, views=folder)


def test_every_view_and_each_of_its_columns_has_a_comment(live: Path, snapshot: Path) -> None:
    migrate(live)
    silent = Warehouse(live).query(
        """
        SELECT v.view_name, c.column_name FROM duckdb_views() AS v JOIN duckdb_columns() AS c
        ON c.table_name = v.view_name WHERE NOT v.internal AND (v.comment IS NULL OR c.comment IS NULL)
        """
    )
    assert silent.rows == ()
