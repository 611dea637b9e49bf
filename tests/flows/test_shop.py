"""A shop of one's own, as its owner meets it: a table, a draft, decisions, items, samples, Parquet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.flows.test_pipeline import fvrec
from tests.fvrec.shop_folder import write_shop
from warehouse.read import Warehouse

pytestmark = pytest.mark.slow
KINDS = ("连衣裙", "西裤", "福袋")
COLORS = ("大红", "藏青", "五彩", "米白")


def test_from_a_table_to_samples(tmp_path: Path) -> None:
    rows = tuple(
        f"A-{n},商品 {n},{KINDS[n % 3]},{COLORS[n % 4]},{'男' if n % 2 else '女'},a{n}.jpg" for n in range(1, 61)
    )
    folder, root = write_shop(tmp_path / "shop", rows, mapping=None, photos=59), str(tmp_path / "root")
    options = ("--source", "tabular", "--raw", str(folder))
    drafted = fvrec("source", "init", str(folder / "shop.csv"))
    assert drafted.code == 0, drafted.text
    assert "2 values wait for your decision" in drafted.text
    again = fvrec("source", "init", str(folder / "shop.csv"))
    assert (again.code, "--force" in again.text) == (2, True)
    unsettled = fvrec("source", "check", *options)
    assert unsettled.code == 1, unsettled.text
    assert "福袋 (20)" in unsettled.text
    mapping = folder / "mapping.toml"
    mapping.write_text(mapping.read_text(encoding="utf-8").replace("# ?", "#"), encoding="utf-8")
    assert fvrec("source", "check", *options).code == 0

    for command in ("ingest", "sft-data"):
        outcome = fvrec(command, *options, "--root", root)
        assert outcome.code == 0, outcome.text
    manifest = json.loads((tmp_path / "root/data/raw/kaggle_manifest.json").read_text(encoding="utf-8"))
    assert (manifest["method"], set(manifest["files"])) == ("by hand", {"shop.csv", "mapping.toml"})
    warehouse = Warehouse(tmp_path / "root/data/warehouse/live.duckdb")
    assert [rejected.reason for rejected in warehouse.quarantine("tabular")] == ["image_missing"]
    made = {(row.metric, row.split): row.value for row in warehouse.metrics(stage="sft_data")}
    assert sum(made["items", split] for split in ("train", "val", "test")) == 59
    for split in ("train", "val", "test"):
        assert made["samples", split] == 3 * made["items", split]
        assert (made["dropped", split], made["json_valid_rate", split], made["schema_pass_rate", split]) == (0, 1, 1)

    exported = fvrec("export-sft", "--root", root, "--out", str(tmp_path / "parquet"))
    assert exported.code == 0, exported.text
    assert sorted(path.name for path in (tmp_path / "parquet").iterdir()) == [
        "eval.parquet", "test.parquet", "train.parquet",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("source", "init", "gone.csv"), "the table is missing"),
        (("source", "check", "--source", "tabular"), "raw folder is missing"),
        (("ingest", "--source", "tabular"), "raw folder is missing"),
        (("export-sft", "--out", "parquet"), "fvrec sft-data"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_missing_is_said(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    placed = () if arguments[:2] == ("source", "init") else ("--root", str(tmp_path / "root"))
    outcome = fvrec(*arguments, *placed)
    assert outcome.code == 2, outcome.text
    assert sentence in " ".join(outcome.text.split())
    assert "Traceback" not in outcome.text
