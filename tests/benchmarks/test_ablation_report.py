"""The ablation's page: what several seeds come to stands beside each of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.ablation_report import main


def row(
    metric: str, model: str, value: float, *, field: str = "", margin: float = 0.01, **params: Any
) -> dict[str, Any]:
    return {
        "source": "shop", "split": "test", "preset": "tiny", "seed": 1, "model": model, "inputs": "image",
        "mode": "constrained", "field": field, "metric": metric, "slice": "",
        "params": {**params, "train": 10}, "value": value,
        "ci_low": value - margin, "ci_high": value + margin, "n": 100,
    }  # fmt: skip


def run(seed: int, accuracy: float, gain: float, *, source: str = "shop") -> dict[str, Any]:
    found: dict[str, Any] = {
        "source": source, "preset": "tiny", "seed": seed, "years": False, "train": 10, "added": 0, "val": 5, "test": 5,
        "split_sha256": "0123456789abcdef", "tower": "lite0", "image_tokens": 6,
        "device": "cpu", "seconds": {"sft": 1.0},
        "training": {"sft_epochs": 2},
        "rows": [
            row("micro_f1", "lora", accuracy),
            row("accuracy", "lora", accuracy, field="color"),
            row("accuracy", "mlp_probe", accuracy - gain, field="color"),
            row("accuracy_difference", "lora", gain, field="color", against="mlp_probe"),
        ],
    }  # fmt: skip
    found["rows"] = [{**one, "source": source, "seed": seed} for one in found["rows"]]
    return found


def written(tmp_path: Path, *runs: dict[str, Any], options: Sequence[str] = ()) -> str:
    files = []
    for number, one in enumerate(runs):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps(one))
    assert main([*map(str, files), "--out", str(tmp_path), *options]) == 0
    return (tmp_path / "extraction.md").read_text()


def test_seeds_of_one_catalogue_are_put_together(tmp_path: Path) -> None:
    page = written(tmp_path, run(1, 0.80, -0.02), run(2, 0.84, 0.006), run(1, 0.5, 0.0, source="other"))
    assert page.count("together") == 1
    assert "## shop, preset `tiny`: seeds 1, 2 together" in page
    assert "| lora | 0.820 [0.800, 0.840] |" in page
    assert "| color | 0.820 [0.800, 0.840] |  | 0.827 [0.820, 0.834] | -0.020, +0.006 | 1 / 0 of 2 |" in page
    assert len(json.loads((tmp_path / "extraction.json").read_text())) == 12


def test_one_seed_stands_alone(tmp_path: Path) -> None:
    page = written(tmp_path, run(1, 0.80, -0.02))
    assert "together" not in page
    assert "## shop, preset `tiny`, seed 1 (split by group)" in page


def test_a_run_is_added_to_the_page_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("## What this says\n\nWords that stay.\n")
    first = written(tmp_path, run(1, 0.80, -0.02), run(3, 0.70, 0.0), options=["--notes", str(tmp_path / "notes.md")])
    second = written(tmp_path, run(2, 0.84, 0.006), run(3, 0.82, 0.0), options=["--add"])
    assert second == written(
        tmp_path, run(1, 0.80, -0.02), run(2, 0.84, 0.006), run(3, 0.82, 0.0),
        options=["--notes", str(tmp_path / "notes.md")],
    )  # fmt: skip
    assert first.count("Words that stay.") == second.count("Words that stay.") == 1
    assert len(json.loads((tmp_path / "extraction.json").read_text())) == 12


def test_rows_of_a_run_that_the_page_does_not_show_are_kept(tmp_path: Path) -> None:
    written(tmp_path, run(1, 0.80, -0.02))
    rows = json.loads((tmp_path / "extraction.json").read_text())
    (tmp_path / "extraction.json").write_text(json.dumps([*rows, {**rows[0], "preset": "large"}]))
    assert "large" not in written(tmp_path, run(2, 0.84, 0.006), options=["--add"])
    kept = json.loads((tmp_path / "extraction.json").read_text())
    assert [row["preset"] for row in kept].count("large") == 1
    assert len(kept) == 9


def test_products_of_another_catalogue_make_another_run(tmp_path: Path) -> None:
    more = {**run(1, 0.85, 0.0), "train": 40, "added": 30}
    more["rows"] = [{**one, "params": {**one["params"], "train": 40}} for one in more["rows"]]
    page = written(tmp_path, run(1, 0.80, -0.02), more)
    assert "together" not in page
    assert "train 40 products (30 added)" in page


def test_a_run_of_another_budget_stands_beside_the_first(tmp_path: Path) -> None:
    longer = {**run(1, 0.85, 0.0), "budget": "0a1b2c3d", "training": {"sft_epochs": 9}}
    longer["rows"] = [{**one, "params": {**one["params"], "budget": "0a1b2c3d"}} for one in longer["rows"]]
    page = written(tmp_path, run(1, 0.80, -0.02), run(2, 0.84, 0.006), longer)
    assert "seeds 1, 2 together" in page
    again = written(tmp_path, longer, options=["--add"])
    assert again == page
    assert '"sft_epochs": 9' in again


def test_a_heading_says_which_tower_and_whether_photos_were_swapped(tmp_path: Path) -> None:
    tuned = {"tuning": {"epochs": 7}}
    for number, (training, words) in enumerate(
        [
            ({}, ""),
            (tuned, " with a tuned tower"),
            ({"swapped_photos": 0.3}, " with swapped photos"),
            ({**tuned, "swapped_photos": 0.3}, " with a tuned tower and swapped photos"),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        page = written(folder, {**run(1, 0.80, -0.02), "training": training})
        assert f"## shop, preset `tiny`{words}, seed 1 (split by group)" in page


def test_the_majority_share_is_kept_once_a_field(tmp_path: Path) -> None:
    one = run(1, 0.80, -0.02)
    shares = [
        {**row("majority_share", model, 0.5, field="color"), "inputs": inputs, "mode": mode}
        for model in ("base", "lora")
        for inputs in ("image", "title")
        for mode in ("raw", "constrained")
    ]
    written(tmp_path, {**one, "rows": [*one["rows"], *shares]})
    kept = json.loads((tmp_path / "extraction.json").read_text())
    assert [(row["model"], row["inputs"], row["mode"]) for row in kept if row["metric"] == "majority_share"] == [
        ("lora", "image", "constrained")
    ]
