"""The benchmark of the warehouse on a small catalogue: what it makes is what it says, and what it asks is found."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import warehouse as benchmark
from warehouse.read import Warehouse


def test_every_number_is_written(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.json"
    code = benchmark.main(["--json", str(path), "--items", "2000", "--folder", str(tmp_path)])
    found = json.loads(path.read_text())
    assert found["items"] == 2000
    assert set(benchmark.BOUNDS) < set(found)
    assert code == int(any(found[name] > bound for name, bound in benchmark.BOUNDS.items()))


def test_the_filter_finds_what_meets_the_request_first(tmp_path: Path) -> None:
    live = tmp_path / "live.duckdb"
    benchmark.fill(live, 3000)
    warehouse = Warehouse(live)
    assert warehouse.query("SELECT count(*) FROM item_attributes").rows == ((30_000,),)
    found = warehouse.query(*benchmark.filter_sql("blue cotton dress, not striped")).rows
    values: dict[str, dict[str, str]] = {}
    for item_id, field, value in warehouse.query("SELECT item_id, field, value FROM predicted_attributes").rows:
        values.setdefault(item_id, {})[field] = value

    def met(item_id: str) -> int:
        wanted = {"color": "blue", "material": "cotton", "category": "dress"}
        return sum(values[item_id][field] == value for field, value in wanted.items())

    allowed = [item_id for item_id in values if values[item_id]["pattern"] != "striped"]
    best = sorted((met(item_id) for item_id in allowed), reverse=True)[:100]
    assert [met(row[0]) for row in found] == best
    assert all(values[row[0]]["pattern"] != "striped" for row in found)
