"""The benchmark of the page on a small catalogue: every page shows its content, and every number is there."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from app.service import DemoService
from benchmarks import page as benchmark
from benchmarks.page_world import build
from fvrec.config import STRATEGIES
from warehouse.read import Warehouse

SCREENS = {file.stem for file in (Path(benchmark.__file__).parents[1] / "app" / "screens").glob("[!_]*.py")}


def test_each_page_is_visited() -> None:
    assert set(benchmark.MARKS) == SCREENS


def test_figures_are_of_the_times() -> None:
    found = benchmark.summary({"chat": [100.0 * n for n in range(1, 22)]})
    assert found == {"chat_median_ms": 1100.0, "chat_p95_ms": 2000.0, "chat_n": 21}


def test_the_world_has_what_the_pages_show(tmp_path: Path) -> None:
    settings = build(tmp_path, 500, seed=3)
    service, warehouse = DemoService.open(settings), Warehouse(settings.snapshot)
    assert service.models("generated") == ("lora",)
    items = warehouse.items("generated")
    assert len(items) == 500
    assert service.picture(items[0]) is not None
    assert {row.metric for row in warehouse.metrics(run_id="run")} >= {"micro_f1", "schema_pass_rate"}
    assert warehouse.confusions("run")
    assert warehouse.rankings("rl")


@pytest.mark.browser
@pytest.mark.slow
def test_every_number_is_written(tmp_path: Path) -> None:
    if shutil.which("chromium") is None:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail("chromium is not installed, and in CI the browser tests must run")
        pytest.skip("chromium is not installed")
    path = tmp_path / "page.json"
    code = benchmark.main(["--json", str(path), "--items", "500", "--lines", "3", "--visits", "1"])
    found = json.loads(path.read_text())
    assert set(benchmark.BOUNDS) < set(found)
    assert code == int(any(found[name] > bound for name, bound in benchmark.BOUNDS.items()))
    assert {f"{name}_ready_n" for name in benchmark.MARKS} < set(found)
    assert [found[f"chat_{strategy}_n"] for strategy in STRATEGIES] == [1, 1, 1]
    assert found["shop_paint_median_ms"] <= found["shop_ready_median_ms"]
