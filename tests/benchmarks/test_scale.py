"""The cost of an item at two sizes: what is measured, and what is made of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.scale import Cost, main, slope, summarise


def test_small_catalogues_go_through_the_cheap_stages(tmp_path: Path) -> None:
    out = tmp_path / "scale.json"
    stages = ["ingest", "load", "load_read", "publish", "sql", "rerank"]
    main(["--sizes", "40", "80", "--stages", *stages, "--work", str(tmp_path), "--json", str(out)])
    body = json.loads(out.read_text())
    assert [(one["stage"], one["items"]) for one in body["costs"]] == [(s, n) for n in (40, 80) for s in stages]
    costs = {(one["stage"], one["items"]): one for one in body["costs"]}
    assert all(one["peak_bytes"] > 0 for one in body["costs"])
    assert costs["ingest", 80]["disk_bytes"] > costs["ingest", 40]["disk_bytes"] > 0
    assert costs["sql", 80]["per_request_ms"] > 0
    assert set(body["slopes"]) == {"ingest", "load", "load_read"}
    assert body["unjudged"] == []
    assert set(body["request_growth"]) == {"sql", "rerank"}
    assert [path.name for path in tmp_path.iterdir()] == ["scale.json"]


def test_a_stage_beyond_its_limit_is_left_out(tmp_path: Path) -> None:
    out = tmp_path / "scale.json"
    command = ["--sizes", "20", "40", "--stages", "load", "--most", "load=20", "--work", str(tmp_path)]
    assert main([*command, "--json", str(out)]) == 1, "one size tells no slope"
    body = json.loads(out.read_text())
    assert [one["items"] for one in body["costs"]] == [20]
    assert body["unjudged"] == ["load"]


def test_a_time_that_is_none_tells_no_slope() -> None:
    with pytest.raises(SystemExit, match="no time"):
        slope([Cost("load", 10, 0.0, 0.0, 1), Cost("load", 20, 1.0, 1.0, 1)])


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_the_slope_is_the_exponent(exponent: float) -> None:
    costs = [Cost("load", n, 1.0, 0.001 * n**exponent, 1) for n in (1_000, 10_000, 100_000)]
    assert slope(costs) == pytest.approx(exponent)
    assert summarise(costs)["holds"] is (exponent <= 1.05)


def test_a_rerank_that_grows_with_the_catalogue_does_not_hold() -> None:
    costs = [Cost("rerank", n, 1.0, 1.0, 1, per_request_ms=ms) for n, ms in ((1_000, 1.0), (100_000, 1.6))]
    assert summarise(costs)["request_growth"] == {"rerank": pytest.approx(1.6)}
    assert not summarise(costs)["holds"]


def test_a_limit_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--most", "nothing=3"])
    assert "STAGE=ITEMS" in capsys.readouterr().err
