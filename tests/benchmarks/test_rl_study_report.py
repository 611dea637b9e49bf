from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.rl_study import protocol_of, require_protocol
from benchmarks.rl_study_report import read_work, summarise, tables

USERS = 200


def ranker(level: float, rng: np.random.Generator, users: np.ndarray) -> dict[str, list[float]]:
    return {"true_reward": (users + level + 0.01 * rng.normal(size=USERS)).tolist(), "seen": [10.0] * USERS}


def seed(number: int) -> dict[str, Any]:
    """Users differ far more than rankers do; ``rl`` is 0.02 better than replanning and as good as its twin."""
    rng = np.random.default_rng(number)
    users = 2.0 + rng.normal(size=USERS)
    levels = {"replanning": 0.0, "twin": 0.02, "rl": 0.02}
    return {"cpu_s": 1.0, "rankers": {name: ranker(level, rng, users) for name, level in levels.items()}, "curve": []}


@pytest.fixture
def summary(tmp_path: Path) -> dict[str, Any]:
    for number in (2, 1):
        (tmp_path / f"click-{number}.json").write_text(json.dumps(seed(number)))
    return summarise(read_work(tmp_path))


def test_small_paired_gains_are_seen_through_large_differences_between_users(summary: dict[str, Any]) -> None:
    found = summary["click"]
    assert found["seeds"] == [1, 2]
    gain, none = (found["differences"]["rl"][name] for name in ("replanning", "twin"))
    assert 0.015 < gain["low"] < gain["value"] < gain["high"] < 0.025
    assert gain["n"] == 2 * USERS
    assert gain["p_holm"] < 1e-6
    assert none["low"] < 0 < none["high"]
    assert np.mean(gain["per_seed"]) == pytest.approx(gain["value"], abs=1e-3)
    level = found["levels"]["rl"]["true_reward"]
    assert level["high"] - level["low"] > 0.1


def test_the_page_shows_what_the_rows_hold(summary: dict[str, Any]) -> None:
    page = tables(summary)["click"]
    gain = summary["click"]["differences"]["rl"]["replanning"]
    assert f"| replanning | {gain['value']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}] |" in page


def test_a_sweep_that_dominates_has_the_larger_hypervolume(tmp_path: Path) -> None:
    row = seed(1)
    rng = np.random.default_rng(0)
    flat = {m: (0.5 + 0.01 * rng.normal(size=USERS)).tolist() for m in ("ndcg", "ild")}
    row["rankers"] = {"base_rank": {**row["rankers"]["rl"], **flat}, "rl": {**row["rankers"]["rl"], **flat}}

    def sweep(height: float) -> list[dict[str, list[float]]]:
        return [{"ndcg": [x] * USERS, "ild": [height - x] * USERS} for x in (0.45, 0.48, 0.5)]

    row["sweeps"] = {"mmr": sweep(0.9), "rl": sweep(1.0)}
    (tmp_path / "list-1.json").write_text(json.dumps(row))
    found = summarise(read_work(tmp_path))["list"]["hypervolumes"]
    base = float(np.mean(flat["ndcg"]))
    # Reference (base - .1, 0); from the right: up to .4, .42 and .45 high for mmr, .1 more for rl.
    width = 0.1 - base + 0.0
    expected = (0.5 + width) * 0.4 + (0.48 + width) * 0.02 + (0.45 + width) * 0.03
    assert found["mmr"]["value"] == pytest.approx(expected, abs=1e-4)
    assert found["mmr"]["points"] == found["rl"]["points"] == 3
    assert found["mmr"]["rl_minus_this"]["low"] > 0
    assert found["rl"]["rl_minus_this"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_a_seed_of_another_protocol_is_not_put_beside_this_ones(tmp_path: Path) -> None:
    sizes = argparse.Namespace(items=100, users=10, steps=5, feed_steps=5)
    made = protocol_of(sizes)
    path = tmp_path / "click-1.json"
    path.write_text(json.dumps({"protocol": made, **seed(1)}))
    require_protocol(path, protocol_of(sizes))
    for other in (protocol_of(argparse.Namespace(**{**vars(sizes), "steps": 6})), {**made, "code": "another"}):
        with pytest.raises(SystemExit, match="other code or with other sizes"):
            require_protocol(path, other)
    path.write_text(json.dumps(seed(1)))
    with pytest.raises(SystemExit, match="give another --work"):
        require_protocol(path, made)
