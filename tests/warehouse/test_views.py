"""The numbers of the views, computed by hand from a few rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fvrec.records import Confusion, CurvePoint, Item, Metric, Prediction, Quarantined, Run
from warehouse import write
from warehouse.read import Warehouse


def _quality(model: str, value: float, **changes: Any) -> list[Metric]:
    shared: dict[str, Any] = {"source": "shop", "split": "test", "preset": "tiny", "inputs": "image", "mode": "raw"}
    known = {**shared, "model": model, "n": 50, **changes}
    return [
        Metric("extract", "json_valid_rate", 1.0, **known),
        Metric("extract", "schema_pass_rate", 0.98, **known),
        Metric("extract", "micro_f1", value, ci_low=value - 0.1, ci_high=value + 0.1, **known),
        Metric("extract", "micro_f1", 0.01, field="color", **known),
        Metric("extract", "micro_f1", 0.02, slice="rare", **known),
    ]


def test_the_leaderboard_shows_each_variant_from_its_newest_complete_run(
    live: Path, make_run: Callable[..., Run]
) -> None:
    plan = [
        (make_run("r1", hour=9), _quality("base", 0.1) + _quality("lora", 0.5)),
        (make_run("r2", hour=10), _quality("lora", 0.8)),
        (make_run("r3", hour=11, status="failed"), _quality("lora", 0.9)),
        (make_run("r4", hour=12, preset="smoke"), _quality("lora", 0.3, preset="smoke")),
    ]
    for run, metrics in plan:
        write.save_run(live, run)
        write.save_metrics(live, run.run_id, metrics)
    board = Warehouse(live).query("FROM model_leaderboard").as_dicts()
    assert [(row["preset"], row["model"], row["micro_f1"], row["run_id"]) for row in board] == [
        ("smoke", "lora", 0.3, "r4"),
        ("tiny", "lora", 0.8, "r2"),
        ("tiny", "base", 0.1, "r1"),
    ]
    assert board[1]["json_valid_rate"] == 1.0
    assert board[1]["schema_pass_rate"] == 0.98
    assert (board[1]["micro_f1_low"], board[1]["micro_f1_high"]) == pytest.approx((0.7, 0.9))
    assert board[1]["n"] == 50


def test_summaries_put_the_numbers_of_a_strategy_in_one_row(live: Path, make_run: Callable[..., Run]) -> None:
    for stage in ("rerank", "rl"):
        write.save_run(live, make_run(stage, stage=stage))
    row = Metric("rerank", "constraint_satisfaction", 0.7, strategy="mmr", k=10, n=30, ci_low=0.6, ci_high=0.8)
    write.save_metrics(live, "rerank", [row, replace(row, metric="explanation_faithfulness", value=1.0)])
    shown = Warehouse(live).query("FROM rerank_summary").as_dicts()
    assert len(shown) == 1
    assert (shown[0]["constraint_satisfaction"], shown[0]["constraint_satisfaction_low"]) == (0.7, 0.6)
    assert (shown[0]["explanation_faithfulness"], shown[0]["strategy"], shown[0]["k"]) == (1.0, "mmr", 10)
    ndcg = Metric("rl", "ndcg", 0.9, strategy="rl", k=10, n=20)
    lists = [ndcg, replace(ndcg, metric="ild", value=0.4), replace(ndcg, metric="coverage", value=0.5)]
    swept = [replace(metric, params={"trade_off": 0.5}, value=metric.value / 2) for metric in lists]
    write.save_metrics(live, "rl", lists + swept)
    found = Warehouse(live).query("SELECT params, ndcg, ild, coverage FROM list_summary").rows
    assert found == (("{}", 0.9, 0.4, 0.5), ('{"trade_off": 0.5}', 0.45, 0.2, 0.25))


def test_catalogue_and_data_quality_count_the_items(live: Path, make_item: Callable[..., Item]) -> None:
    items = [make_item("a"), make_item("b", split="train"), make_item("c", category="jeans", color="unknown")]
    rejected = [Quarantined("shop", f"{n}.jpg", "image_unreadable", "truncated") for n in range(1)]
    write.save_items(live, "shop", items, rejected)
    store = Warehouse(live)
    assert store.query("SELECT split, category, items FROM catalogue_overview ORDER BY ALL").rows == (
        ("test", "dress", 1),
        ("test", "jeans", 1),
        ("train", "dress", 1),
    )
    quality = {
        (row["check"], row["subject"]): (row["affected"], row["total"], row["share"])
        for row in store.query("FROM data_quality").as_dicts()
    }
    assert quality["quarantine", "image_unreadable"] == (1, 4, 0.25)
    assert quality["unknown", "color"] == (1, 3, pytest.approx(1 / 3))
    assert quality["unknown", "category"] == (0, 3, 0.0)
    assert quality["unknown", "fit"] == (3, 3, 1.0)


def test_the_review_queue_starts_with_the_least_confident_known_value(
    live: Path,
    make_item: Callable[..., Item],
    make_prediction: Callable[..., Prediction],
    make_run: Callable[..., Run],
) -> None:
    write.save_items(live, "shop", [make_item("a"), make_item("b"), make_item("c")], [])
    write.save_run(live, make_run("run1"))
    answers = [make_prediction("a", confidence=0.4), make_prediction("b", confidence=0.2), make_prediction("c")]
    write.save_predictions(live, "run1", answers)
    queue = Warehouse(live).query("SELECT item_id, field, title IS NOT NULL FROM low_confidence").rows
    assert queue == (
        ("b", "category", True),
        ("b", "color", True),
        ("a", "category", True),
        ("a", "color", True),
    )


def test_shares_of_a_confusion_add_up_to_one_in_every_row(live: Path, make_run: Callable[..., Run]) -> None:
    write.save_run(live, make_run("r1"))
    cells = [("red", "red", 3), ("red", "pink", 1), ("pink", "pink", 2)]
    known = {"model": "lora", "inputs": "image", "mode": "raw", "split": "test", "field": "color"}
    write.save_confusions(live, "r1", [Confusion(**known, true_value=t, predicted_value=p, n=n) for t, p, n in cells])
    found = Warehouse(live).query("SELECT true_value, predicted_value, share, correct FROM field_confusion").rows
    assert found == (("red", "red", 0.75, True), ("pink", "pink", 1.0, True), ("red", "pink", 0.25, False))


def test_coverage_of_the_catalogue_counts_known_values(live: Path, make_item: Callable[..., Item]) -> None:
    write.save_items(live, "shop", [make_item("a"), make_item("b", color="red"), make_item("c", color="unknown")], [])
    found = {row["field"]: row for row in Warehouse(live).query("FROM catalogue_coverage").as_dicts()}
    assert (found["color"]["items"], found["color"]["known"], found["color"]["distinct_values"]) == (3, 2, 2)
    assert found["color"]["share_known"] == pytest.approx(2 / 3)
    assert (found["fit"]["known"], found["fit"]["commonest"]) == (0, None)


def test_satisfaction_is_told_by_the_number_of_constraints_alone(live: Path, make_run: Callable[..., Run]) -> None:
    write.save_run(live, make_run("r1", stage="rerank"))
    row = Metric("rerank", "constraint_satisfaction", 0.8, source="shop", strategy="rerank", k=10, n=9)
    slices = {
        "constraints=1": 0.8,
        "constraints=2": 0.6,
        "constraints=1-2, matching>=10": 0.9,
        "language=zh": 0.7,
        "": 0.5,
    }
    write.save_metrics(live, "r1", [replace(row, slice=name, value=value) for name, value in slices.items()])
    sql = "SELECT constraints, constraint_satisfaction FROM constraint_satisfaction_by_size"
    assert Warehouse(live).query(sql).rows == ((1, 0.8), (2, 0.6))


def test_the_trade_off_has_curves_and_single_points(live: Path, make_run: Callable[..., Run]) -> None:
    write.save_run(live, make_run("r1", stage="rl"))
    points = [
        CurvePoint("rl", "mmr_tradeoff", 0.9, 0.3, {"trade_off": 1.0, "coverage": 0.5}),
        CurvePoint("rl", "rl_tradeoff", 0.7, 0.5, {"weight": 0.6}),
    ]
    write.save_curves(live, "r1", points)
    row = Metric("rl", "ndcg", 0.8, source="shop", preset="tiny", strategy="rl", k=10, n=9)
    write.save_metrics(live, "r1", [row, replace(row, metric="ild", value=0.4)])
    sql = "SELECT strategy, trade_off, ndcg, ild, coverage FROM rl_trade_off"
    assert Warehouse(live).query(sql).rows == (
        ("mmr", 1.0, 0.9, 0.3, 0.5),
        ("rl", None, 0.8, 0.4, None),
        ("rl", 0.6, 0.7, 0.5, None),
    )


def test_drift_stands_between_a_run_and_the_complete_one_before_it(live: Path, make_run: Callable[..., Run]) -> None:
    runs = [("r1", 9, "complete", 0.5, 7), ("r2", 10, "failed", 0.9, 7), ("r3", 11, "complete", 0.8, 8)]
    for name, hour, status, value, seed in runs:
        write.save_run(live, make_run(name, hour=hour, status=status))
        row = Metric("extract", "micro_f1", value, source="shop", model="lora", seed=seed, n=9)
        low, high = value - 0.1, value + 0.1
        write.save_metrics(live, name, [replace(row, ci_low=low, ci_high=high), replace(row, metric="only_" + name)])
    sql = "SELECT metric, previous, current, change, apart, previous_run_id, run_id FROM run_drift"
    assert Warehouse(live).query(sql).rows == (("micro_f1", 0.5, 0.8, pytest.approx(0.3), True, "r1", "r3"),)
