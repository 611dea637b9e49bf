"""Every query of docs/sql.md runs, gives the columns that the page shows, and every view is shown."""

from __future__ import annotations

import re

import pytest

from fvrec.config import Settings
from tests.sql_page import PAGE, as_text, queries
from warehouse.read import Warehouse
from warehouse.upgrade import VIEWS

QUERIES = queries(PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("sql", "shown"), QUERIES, ids=[re.search(r"from (\w+)", sql)[1] for sql, _ in QUERIES])  # type: ignore[index]
def test_a_query_of_the_page_runs_and_its_output_is_shown(demo_shop: Settings, sql: str, shown: str) -> None:
    found = Warehouse(demo_shop.snapshot).query(sql, timeout_s=30)
    assert tuple(shown.splitlines()[0].split()) == found.columns
    assert len(shown.splitlines()) > 2, "no row to look at"
    assert as_text(found).splitlines()[0].split() == shown.splitlines()[0].split()


def test_every_view_is_on_the_page() -> None:
    asked = {name for sql, _ in QUERIES for name in re.findall(r"\bfrom (\w+)", sql)}
    assert {file.stem for file in VIEWS.glob("*.sql")} - asked == set()


def test_every_column_of_a_view_has_a_comment(demo_shop: Settings) -> None:
    bare = Warehouse(demo_shop.snapshot).query(
        "select table_name, column_name from duckdb_columns() join duckdb_views() on view_name = table_name "
        "where not duckdb_views.internal and duckdb_columns.comment is null"
    )
    assert bare.rows == ()
