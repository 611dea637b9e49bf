"""SQL that people type: it reads the warehouse, and nothing else."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from fvrec.errors import FvrecError
from fvrec.records import Item
from warehouse import connect, write
from warehouse.db import publish
from warehouse.read import Table, Warehouse


@pytest.fixture
def store(live: Path, snapshot: Path, make_item: Callable[..., Item]) -> Warehouse:
    write.save_items(live, "shop", [make_item(f"i{n}") for n in range(5)], [])
    publish(live, snapshot)
    return Warehouse(snapshot)


def test_queries_give_columns_and_rows(store: Warehouse) -> None:
    found = store.query("SELECT item_id, raw->>'price' AS price FROM items WHERE item_id = ?", ["i3"])
    assert found == Table(("item_id", "price"), (("i3", "12.5"),))
    assert found.as_dicts() == [{"item_id": "i3", "price": "12.5"}]
    for sql in ("FROM items;", "WITH x AS (FROM items) FROM x", "SHOW TABLES", "DESCRIBE items", "SUMMARIZE items"):
        assert store.query(sql).rows, sql
    assert "items" in str(store.query("EXPLAIN SELECT title FROM items").rows)


def test_the_row_cap_says_that_there_was_more(store: Warehouse) -> None:
    assert not store.query("FROM items", max_rows=5).truncated
    capped = store.query("SELECT item_id FROM items ORDER BY 1", max_rows=2)
    assert capped == Table(("item_id",), (("i0",), ("i1",)), truncated=True)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM items",
        "INSERT INTO schema_migrations (version, name) VALUES (99, 'x')",
        "CREATE TABLE t (x INTEGER)",
        "COPY items TO '{folder}/stolen.csv'",
        "ATTACH '{folder}/stolen.duckdb' AS stolen",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "PRAGMA database_list",
        "EXPLAIN ANALYZE DELETE FROM items",
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT 1; DELETE FROM items",
        "",
        "-- nothing",
    ],
)
def test_whatever_is_no_query_of_the_warehouse_is_refused(store: Warehouse, tmp_path: Path, sql: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("password\nhunter2\n")
    with pytest.raises(FvrecError):
        store.query(sql.format(folder=tmp_path, secret=secret))
    assert len(store.items("shop")) == 5
    assert list(tmp_path.glob("stolen*")) == []


def test_variables_of_the_program_are_no_tables(store: Warehouse) -> None:
    passwords = pa.table({"x": [1]})
    with pytest.raises(FvrecError, match="passwords"):
        store.query("FROM passwords")
    assert passwords.num_rows == 1


@pytest.mark.parametrize(
    ("sql", "cause"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT titel FROM items", "titel"),
        ("FROM itemz", "itemz"),
        ("SELECT ?", "parameter"),
        ("SELECT 1 / 'x'", "x"),
    ],
)
def test_mistakes_are_explained(store: Warehouse, sql: str, cause: str) -> None:
    with pytest.raises(FvrecError, match=cause):
        store.query(sql)


def test_an_endless_query_is_stopped(store: Warehouse) -> None:
    endless = "SELECT sum(a.range * b.range) FROM range(10000000) AS a, range(10000000) AS b"
    with pytest.raises(FvrecError, match=r"stopped after 0\.3 s"):
        store.query(endless, timeout_s=0.3)
    assert store.query("SELECT 1", timeout_s=30).rows == ((1,),)


def test_a_query_that_wants_too_much_memory_is_refused(tmp_path: Path, store: Warehouse) -> None:
    (limit,) = store.query("SELECT current_setting('memory_limit')").rows[0]
    whole = duckdb.connect(":memory:").execute("SELECT current_setting('memory_limit')").fetchone()
    assert _bytes(limit) < 0.7 * _bytes(whole[0])  # DuckDB's own is four fifths of the machine
    greedy = "SELECT list(i) FROM range(20000000) t(i)"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(connect._READ_CONFIG, "memory_limit", "100MB")
        other = Warehouse(shutil.copy(store.path, tmp_path / "other.duckdb"))
        with pytest.raises(FvrecError, match="Out of Memory"):
            other.query(greedy)
        assert other.query("SELECT 1").rows == ((1,),)


def _bytes(text: str) -> float:
    """Of DuckDB's ``11.7 GiB``."""
    number, unit = text.split()
    return float(number) * {"MiB": 2**20, "GiB": 2**30, "TiB": 2**40}[unit]


def test_columns_of_one_name_are_told_apart_in_time(store: Warehouse) -> None:
    table, _ = store.query_arrow("SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS b", max_rows=5, timeout_s=5)
    assert table.to_pydict() == {"a": [1], "a_2": [2], "a_1": [3], "b": [4]}
    begin = time.process_time()
    wide, _ = store.query_arrow(f"SELECT {', '.join('1' for _ in range(1000))}", max_rows=5, timeout_s=5)
    assert len(set(wide.column_names)) == 1000
    assert time.process_time() - begin < 2
    with pytest.raises(FvrecError, match=r"too many columns; .*found: 1001"):
        store.query_arrow(f"SELECT {', '.join('1' for _ in range(1001))}", max_rows=5, timeout_s=5)
