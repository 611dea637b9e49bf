"""Stage ``tower`` in the pipeline: who is made again when the tower changes, and what carries it on."""

from __future__ import annotations

import json
import re
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
from fvrec.report import extraction_compare
from fvrec.vlm.bundle import export_bundle, locate
from fvrec.vlm.extract import Extractor
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.samples import extraction_sample
from fvrec.vlm.towers import load_tower
from tasks.extraction import STAGES
from tasks.ingest import ingest
from tasks.report import collect
from tasks.sft import features, pretrain
from tasks.stage import StageResult
from tasks.tower import tower
from warehouse.read import Warehouse

pytestmark = pytest.mark.slow
NAMES = ("tower", "features", "pretrain", "extract_base")


@story("tuned")
def tuned(settings: Settings) -> list[StageResult]:
    stages = (ingest, *((tower,) if settings.budget.tuning else ()), features, pretrain, STAGES["base"])
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
    assert reused(settings) == dict.fromkeys(("ingest", "tower", "features", "pretrain", "extract_base"), False)
    return settings


def test_all_behind_it_is_made_with_the_tuned_tower(made: Settings) -> None:
    assert made.budget.training.swapped_photos == config.SWAPPED_PHOTOS
    warehouse = Warehouse(made.database)
    name = warehouse.embedding_model("embedded")
    assert re.fullmatch("lite0-tuned-[0-9a-f]{8}", name)
    assert json.loads((made.models / "base" / "config.json").read_text())["tower"] == name
    manifests = {name: Manifest.read(made.manifests / f"{name}.json") for name in NAMES}
    digests = [
        one.outputs["outputs/models/tower"] if name == "tower" else one.inputs["tower:outputs/models/tower"]
        for name, one in manifests.items()
        if one is not None
    ]
    assert len(digests) == 4
    assert len(set(digests)) == 1
    assert not (made.resume / "tower").exists()


def test_the_report_has_its_numbers_and_its_curve(made: Settings) -> None:
    data = collect(made)
    rows = {(row.metric, row.field): row for row in data.metrics if row.stage == "tower"}
    assert {"category", "color", ""} <= {field for metric, field in rows if metric == "val_accuracy"}
    assert rows["best_epoch", ""].value in (1.0, 2.0)
    assert [point.x for point in data.curves if (point.stage, point.curve) == ("tower", "loss")] == [1.0, 2.0]
    assert data.commands["tower"].startswith("fvrec sft ")
    assert "| val_accuracy |" in extraction_compare(data)
    assert "## tower\n\n- method: tower\n- epochs: 2\n" in (made.logs / "train_config.md").read_text()
    assert (made.logs / "train_tower.log").read_text().count("val accuracy") == 2


def test_it_is_used_again_until_it_is_altered(made: Settings) -> None:
    assert all(reused(made).values())
    file = made.models / "tower" / "vision" / "model.safetensors"
    kept = file.read_bytes()
    file.write_bytes(kept[:-1])
    # Made again to the same weights, so what stands on it stands.
    assert reused(made) == {
        **dict.fromkeys(("ingest", "features", "pretrain", "extract_base"), True),
        "tower": False,
    }
    assert file.read_bytes() == kept


def test_a_bundle_carries_the_tower(made: Settings, tmp_path: Path) -> None:
    here = Extractor.load(made.models / "base")
    assert Extractor.of(locate(made.models / "base")).tower.digest == here.tower.digest
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
    assert reused(plain) == {"ingest": True} | dict.fromkeys(("features", "pretrain", "extract_base"), False)
    assert Warehouse(made.database).embedding_models("embedded") == ["lite0"]
    # What is told goes by what was made, not by what is asked for now.
    for asked in (plain, made):
        data = collect(asked)
        assert "tower" not in {run.stage for run in data.runs}
        assert data.commands["features"].startswith("FVREC_TUNE_TOWER=0 fvrec sft ")
    assert (made.logs / "features_commands.txt").read_text().startswith("FVREC_TUNE_TOWER=0 fvrec sft ")
    with pytest.raises(FvrecError, match="nothing says how to tune the tower"):
        tower(plain)


def test_features_of_another_tower_are_refused(made: Settings) -> None:
    """The fixture's base now looks through the plain tower, and the folder still holds the tuned one."""
    extractor = Extractor.load(made.models / "base")
    cache = FeatureCache(made.cache / "features", load_tower("lite0-tuned", weights=made.tower_weights("lite0-tuned")))
    item = Warehouse(made.database).items("embedded", ["test"])[0]
    with pytest.raises(FvrecError, match=r"another vision tower than the model.s.*FVREC_TUNE_TOWER"):
        extractor.read([extraction_sample(item, "image")], cache)


def test_features_ask_for_the_tower_first(made: Settings, tmp_path: Path) -> None:
    elsewhere = made.model_copy(update={"root": tmp_path})
    with pytest.raises(FvrecError, match="the tower is not tuned yet"):
        features.external(elsewhere)
