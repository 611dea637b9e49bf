"""``fvrec sql`` as it is typed: four formats, files, caps, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fvrec.cli import main
from fvrec.config import Settings

QUERY = "select item_id, title, ingested_at, raw, [1, 2] as pair, null as nothing from items order by item_id"


@pytest.fixture
def say(demo_shop: Settings, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Any:
    """Runs ``fvrec sql`` on the shop; exit code, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, bytes, str]:
        capfdbinary.readouterr()
        monkeypatch.setattr(sys, "argv", ["fvrec", "sql", *arguments, "--root", str(demo_shop.root)])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        printed = capfdbinary.readouterr()
        assert b"Traceback" not in printed.out + printed.err
        return code, printed.out, printed.err.decode()

    return run


def test_csv_and_json_hold_the_same_rows(say: Any) -> None:
    as_csv = list(csv.DictReader(io.StringIO(say(QUERY, "--format", "csv")[1].decode())))
    as_json = json.loads(say(QUERY, "--format", "json")[1])
    assert len(as_csv) == len(as_json) == 240
    assert [row["item_id"] for row in as_csv] == [row["item_id"] for row in as_json]
    assert as_csv[0]["nothing"] == ""
    assert as_json[0]["nothing"] is None
    assert as_json[0]["pair"] == json.loads(as_csv[0]["pair"]) == [1, 2]


def test_parquet_keeps_the_types(say: Any, tmp_path: Path) -> None:
    file = tmp_path / "items.parquet"
    code, out, _ = say(QUERY, "--format", "parquet", "--out", str(file))
    assert (code, out) == (0, b"")
    rows = pq.read_table(file).to_pylist()
    assert len(rows) == 240
    assert isinstance(rows[0]["ingested_at"], datetime)
    assert rows[0]["pair"] == [1, 2]
    assert pq.read_table(io.BytesIO(say(QUERY, "--format", "parquet")[1])).num_rows == 240


def test_columns_of_one_name_are_all_there(say: Any) -> None:
    twice = "select a.item_id, b.item_id from items a join items b using (item_id) limit 1"
    (row,) = json.loads(say(twice, "--format", "json")[1])
    assert list(row) == ["item_id", "item_id_1"]


@pytest.mark.parametrize("kind", ["table", "csv", "json"])
def test_a_date_beyond_pythons_years_is_one_sentence(say: Any, kind: str) -> None:
    code, out, err = say("select timestamp '290000-01-01'", "--format", kind)
    assert (code, out) == (2, b"")
    assert "does not fit" in err
    assert "CAST" in err


def test_a_table_is_capped_and_says_so(say: Any, tmp_path: Path) -> None:
    code, _, err = say("from items")
    assert code == 0
    assert "first 100 rows" in err
    assert say("from items", "--format", "csv", "--max-rows", "7")[1].count(b"\n") == 8
    file = tmp_path / "page.txt"
    say("select item_id from items limit 3", "--out", str(file))
    assert file.read_text().count("em0") == 3


@pytest.mark.parametrize(
    ("query", "cause"),
    [
        ("select * from read_text('/etc/hostname')", "disabled"),
        ("attach '/tmp/x.duckdb'", "only queries"),
        ("drop table items", "only queries"),
        ("set enable_external_access = true", "only queries"),
        ("select sum(a.range * b.range) from range(10000000) a, range(10000000) b", "stopped after 0.5 s"),
        ("select a.range from range(10000000) a, range(10000000) b where a.range * b.range < 0", "stopped after 0.5 s"),
    ],
)
@pytest.mark.parametrize("kind", ["table", "parquet"])
def test_what_is_refused_is_one_sentence(say: Any, query: str, cause: str, kind: str) -> None:
    code, out, err = say(query, "--timeout", "0.5", "--format", kind)
    assert code == 2
    assert out == b""
    assert cause in err
