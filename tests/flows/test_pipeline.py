"""The whole loop as a user runs it: one command, then again, then after an edit (embedded catalogue, ``smoke``)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import pyarrow.parquet as pq
import pytest

from fvrec.rerank.picture import SURE_ENOUGH
from fvrec.rl.compare import WEIGHTS_TRIED
from fvrec.schema import OTHER, UNKNOWN, VALUES
from fvrec.vlm.extract import Extractor

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("fvrec", "warehouse", "tasks", "flows", "app")
STAGES = (
    *("ingest", "sft_data", "features", "pretrain", "sft", "lora"),
    *("extract_base", "extract_sft", "extract_lora", "rerank", "rl", "reports", "publish"),
)
PLACES = (
    *("data/raw/kaggle_manifest.json", "data/processed/items.jsonl"),
    *("data/sft/train.jsonl", "data/sft/eval.jsonl", "data/sft/test.jsonl"),
    *("data/eval/extraction_eval.jsonl", "data/eval/rerank_eval.jsonl", "data/cache", "data/warehouse/current.duckdb"),
    *("outputs/adapters/sft", "outputs/adapters/sft_lora", "outputs/policies/rl", "outputs/logs/train_config.md"),
    *("reports/data_profile.md", "reports/extraction_base.json", "reports/extraction_sft.json"),
    *("reports/extraction_lora.json", "reports/extraction_compare.md", "reports/extraction_cases_base.md"),
    *("reports/rerank_report.md", "reports/rl_report.md", "reports/README_run.md"),
    *("reports/extraction_reliability.png", "reports/extraction_evidence.png"),
    *("outputs/calibration/base.json", "outputs/calibration/sft.json", "outputs/calibration/sft_lora.json"),
)


@dataclass(frozen=True)
class Outcome:
    """What a command said: exit code, text, wall time, and stage -> ``ran`` or ``reused``."""

    code: int
    text: str
    seconds: float

    @property
    def stages(self) -> dict[str, str]:
        return dict(re.findall(r"^│ (\w+) +│ (ran|reused) +│", self.text, flags=re.MULTILINE))

    @property
    def ran(self) -> set[str]:
        return {stage for stage, fate in self.stages.items() if fate == "ran"}


def fvrec(*arguments: str, tree: Path = ROOT, timeout: int = 800) -> Outcome:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "FVREC_"))}
    environment |= {"FVREC_QUIET": "1", "COLUMNS": "160", "PYTHONPATH": ""}
    started = perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "fvrec.cli", *arguments],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return Outcome(done.returncode, done.stdout + done.stderr, perf_counter() - started)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run") / "fvrec"


@pytest.fixture(scope="module")
def first(root: Path) -> Outcome:
    return fvrec("run", "--preset", "smoke", "--root", str(root))


def test_one_command_runs_every_stage_and_makes_every_place(first: Outcome, root: Path) -> None:
    assert first.code == 0, first.text
    assert first.stages == dict.fromkeys(STAGES, "ran")
    missing = [place for place in PLACES if not (root / place).exists()]
    assert missing == []
    for stage in STAGES:
        assert (root / "outputs" / "logs" / f"{stage}_commands.txt").read_text().startswith("fvrec ")
        assert (root / "outputs" / "logs" / f"{stage}_outputs.txt").exists()
        assert json.loads((root / "outputs" / "manifests" / f"{stage}.json").read_text())["stage"] == stage


def test_it_ends_with_one_table_the_reports_and_the_page(first: Outcome, root: Path) -> None:
    for name in ("json_valid_rate", "schema_pass_rate", "micro_f1", "E0 base", "E1 sft", "E2 lora"):
        assert name in first.text
    for name in (
        "constraint_satisfaction@10",
        "explanation_faithfulness@10",
        "ndcg@10",
        "ild@10",
        "coverage@10",
        "mmr",
    ):
        assert name in first.text
    assert str(root / "reports" / "rl_report.md") in first.text
    assert f"fvrec demo --root {root}" in first.text


@pytest.mark.usefixtures("first")
def test_the_list_policy_is_saved_at_the_weight_that_its_rule_chose(root: Path) -> None:
    asked = fvrec(
        "sql", "select value from metrics where metric = 'own_weight'", "--root", str(root), "--format", "csv"
    )
    (chosen,) = map(float, asked.text.split()[1:])
    assert chosen in WEIGHTS_TRIED
    policy = root / "outputs" / "policies" / "rl"
    for file in (policy / "policy.json", policy / "feed" / "policy.json"):
        assert json.loads(file.read_text())["reward"] == {"redundancy": chosen, "novelty": chosen}


def test_nothing_half_written_is_left(first: Outcome, root: Path) -> None:
    assert [str(path) for path in root.rglob("*") if ".partial" in path.name or path.suffix == ".tmp"] == []


@pytest.mark.usefixtures("first")
class TestAfterwards:
    """The same root, changed a little and run again. The order of these tests is the order of a user's day."""

    def test_a_second_run_reuses_every_stage_within_a_minute(self, root: Path) -> None:
        again = fvrec("run", "--preset", "smoke", "--root", str(root))
        assert again.code == 0, again.text
        assert again.stages == dict.fromkeys(STAGES, "reused")
        assert again.seconds < 60

    def test_reports_are_made_again_from_the_warehouse_alone(self, root: Path) -> None:
        before = {path.name: path.read_bytes() for path in (root / "reports").iterdir()}
        shutil.rmtree(root / "reports")
        (root / "data" / "processed" / "items.jsonl").rename(root / "aside.jsonl")
        again = fvrec("report", "--preset", "smoke", "--root", str(root))
        (root / "aside.jsonl").rename(root / "data" / "processed" / "items.jsonl")
        assert again.code == 0, again.text
        assert again.ran == {"reports"}
        assert {path.name: path.read_bytes() for path in (root / "reports").iterdir()} == before

    def test_an_edit_of_the_policy_runs_rl_and_what_shows_it(self, root: Path, tmp_path: Path) -> None:
        for package in PACKAGES:
            shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
        with (tmp_path / "fvrec" / "rl" / "policy.py").open("a") as file:
            file.write("\n# edited\n")
        again = fvrec("run", "--preset", "smoke", "--root", str(root), tree=tmp_path)
        assert again.code == 0, again.text
        assert again.ran == {"rl", "reports", "publish"}

    def test_anyone_can_ask_the_snapshot(self, root: Path) -> None:
        asked = fvrec(
            "sql", "select count(distinct stage) as stages from runs where status = 'complete'", "--root", str(root)
        )
        assert asked.code == 0, asked.text
        assert re.search(r"│ 12 +│", asked.text)
        refused = fvrec("sql", "drop table items", "--root", str(root))
        assert refused.code == 2
        assert "Traceback" not in refused.text

    def test_a_question_gets_a_list(self, root: Path) -> None:
        answer = fvrec("ask", "blue dress", "--root", str(root), "--k", "3")
        assert answer.code == 0, answer.text
        assert len(re.findall(r"^│ [123] ", answer.text, flags=re.MULTILINE)) == 3

    def test_a_reference_picture_is_read_by_the_model_of_the_run(self, root: Path) -> None:
        photo = next((root / "data" / "raw").rglob("*.jpg"))
        answer = fvrec("ask", "--like", str(photo), "--json", "--root", str(root), "--k", "2")
        assert answer.code == 0, answer.text
        found, _ = json.JSONDecoder().raw_decode(answer.text)
        assert len(found["items"]) == 2
        # A model of this size is sure of little: what it is sure of, and only that, becomes a wish.
        (reading,) = Extractor.load(root / "outputs" / "adapters" / "sft_lora").extract([photo])
        sure = {field: reading.attributes[field] for field, p in reading.confidence.items() if p >= SURE_ENOUGH}
        wished = {one["field"]: one["values"] for one in found["constraints"]}
        assert wished == {field: [value] for field, value in sure.items() if value not in (UNKNOWN, OTHER)}
        assert {(one["origin"], one["strength"]) for one in found["constraints"]} <= {("picture", "soft")}

    def test_a_folder_becomes_a_table_and_is_read_once(self, root: Path, tmp_path: Path) -> None:
        table = tmp_path / "attrs.parquet"
        command = ("extract", "--images", str(root / "data" / "raw" / "embedded"), "--limit", "20", "--root", str(root))
        first = fvrec(*command, "--out", str(table))
        assert first.code == 0, first.text
        assert "20 rows" in first.text
        rows = pq.read_table(table).to_pylist()
        assert [row["error"] for row in rows] == [""] * 20
        assert {row["color"] for row in rows} <= set(VALUES["color"])
        assert all(0 < row["color_confidence"] <= 1 for row in rows)
        again = fvrec(*command, "--out", str(table))
        assert "0 read now" in again.text
        other = fvrec(*command, "--out", str(table), "--inputs", "image_title")
        assert other.code == 2
        assert "something else: inputs" in other.text

    def test_an_adapter_is_scored_on_products_that_it_has_not_seen(self, root: Path, tmp_path: Path) -> None:
        rows_file = tmp_path / "scores.json"
        options = ("--source", "embedded", "--limit", "30", "--inputs", "image", "--root", str(root))
        unseen = fvrec("evaluate", *options, "--seed", "99", "--json", str(rows_file))
        assert unseen.code == 0, unseen.text
        rows = json.loads(rows_file.read_text())
        passed = {row["mode"]: row["value"] for row in rows if row["metric"] == "schema_pass_rate"}
        assert passed["constrained"] == 1.0
        assert set(passed) == {"raw", "constrained"}
        assert {row["n"] for row in rows if row["metric"] == "scored_items"} == {30}
        assert "majority_share" in unseen.text
        # The drawing that it was trained on: most of its photos are left out.
        own = fvrec("evaluate", *options, "--seed", "7", "--json", str(rows_file))
        assert "were left out" in own.text
        seen = {row["metric"]: row["value"] for row in json.loads(rows_file.read_text()) if not row["mode"]}
        assert 0 < seen["scored_items"] < seen["seen_items"]
