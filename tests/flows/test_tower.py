"""Stage ``tower`` in the pipeline: who is made again when the tower changes, and what carries it on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from flows.story import story
from fvrec import config
from fvrec.artifacts import Manifest
from fvrec.config import Settings, TowerTuning
from fvrec.errors import FvrecError
from fvrec.vlm.bundle import export_bundle
from fvrec.vlm.extract import Extractor
from tasks.ingest import ingest
from tasks.report import collect, collected_runs
from tasks.sft import features, pretrain
from tasks.stage import StageResult
from tasks.tower import tower
from warehouse.read import Warehouse

pytestmark = pytest.mark.slow


@story("tuned")
def tuned(settings: Settings) -> list[StageResult]:
    stages = (ingest, *((tower,) if settings.budget.tuning else ()), features, pretrain)
    return [stage(settings) for stage in stages]


def reused(settings: Settings) -> dict[str, bool]:
    return {one.stage: one.reused for one in tuned(settings)}


@pytest.fixture(scope="module")
def preset() -> Iterator[str]:
    smoke = config.PRESETS["smoke"]
    training = replace(smoke.training, pretrain_epochs=15)
    plan = TowerTuning(epochs=2, batch_size=16, views=())
    nano = replace(smoke, name="nano", embedded_items=60, training=training, tuning=plan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "PRESETS", MappingProxyType({**config.PRESETS, "nano": nano}))
        yield nano.name


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, preset: str, prefect_home: Path) -> Settings:
    settings = Settings(root=tmp_path_factory.mktemp("tuned"), preset=preset)
    assert reused(settings) == dict.fromkeys(("ingest", "tower", "features", "pretrain"), False)
    return settings


def test_all_behind_it_is_made_with_the_tuned_tower(made: Settings) -> None:
    warehouse = Warehouse(made.database)
    assert warehouse.embedding_models("embedded") == ["lite0-tuned"]
    assert json.loads((made.models / "base" / "config.json").read_text())["tower"] == "lite0-tuned"
    manifests = {name: Manifest.read(made.manifests / f"{name}.json") for name in ("tower", "features", "pretrain")}
    digests = [
        one.outputs["outputs/models/tower"] if name == "tower" else one.inputs["tower:outputs/models/tower"]
        for name, one in manifests.items()
        if one is not None
    ]
    assert len(digests) == 3
    assert len(set(digests)) == 1
    assert not (made.resume / "tower").exists()


def test_the_report_has_its_numbers_and_its_curve(made: Settings) -> None:
    data = collect(made)
    rows = {(row.metric, row.field): row for row in data.metrics if row.stage == "tower"}
    assert {"category", "color", ""} <= {field for metric, field in rows if metric == "val_accuracy"}
    assert rows["best_epoch", ""].value in (1.0, 2.0)
    assert [point.x for point in data.curves if (point.stage, point.curve) == ("tower", "loss")] == [1.0, 2.0]
    assert (made.logs / "train_tower.log").read_text().count("val accuracy") == 2


def test_it_is_used_again_until_it_is_altered(made: Settings) -> None:
    assert all(reused(made).values())
    file = made.models / "tower" / "vision" / "model.safetensors"
    kept = file.read_bytes()
    file.write_bytes(kept[:-1])
    # Made again to the same weights, so what stands on it stands.
    assert reused(made) == {"ingest": True, "tower": False, "features": True, "pretrain": True}
    assert file.read_bytes() == kept


def test_a_bundle_carries_the_tower(made: Settings, tmp_path: Path) -> None:
    here = Extractor.load(made.models / "base")
    there = Extractor.load(export_bundle(made.models / "base", tmp_path / "elsewhere" / "bundle"))
    assert there.tower_weights == tmp_path / "elsewhere" / "bundle"
    assert there.tower.digest == here.tower.digest
    pixels = np.zeros((1, 224, 224, 3), dtype=np.uint8)
    assert np.array_equal(here.tower.encode(pixels), there.tower.encode(pixels))
    (tmp_path / "elsewhere" / "bundle" / "vision" / "model.safetensors").unlink()
    with pytest.raises(FvrecError, match="not what was exported"):
        Extractor.load(tmp_path / "elsewhere" / "bundle")


def test_without_it_the_same_root_goes_back_to_the_plain_tower(made: Settings) -> None:
    plain = made.model_copy(update={"tune_tower": False})
    assert reused(plain) == {"ingest": True, "features": False, "pretrain": False}
    assert Warehouse(made.database).embedding_models("embedded") == ["lite0"]
    assert "tower" not in collected_runs(plain)
    with pytest.raises(FvrecError, match="nothing says how to tune the tower"):
        tower(plain)


def test_features_ask_for_the_tower_first(made: Settings, tmp_path: Path) -> None:
    elsewhere = made.model_copy(update={"root": tmp_path})
    with pytest.raises(FvrecError, match="the tower is not tuned yet"):
        features.external(elsewhere)
