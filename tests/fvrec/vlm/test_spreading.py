"""Shards of readings: a worker reads with the very files that the stage has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fvrec.errors import FvrecError
from fvrec.records import Item
from fvrec.vlm.bundle import ModelFiles
from fvrec.vlm.collate import Encoder
from fvrec.vlm.encoding import TowerFiles
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.model import MiniMindVLM
from fvrec.vlm.reading_table import read_readings
from fvrec.vlm.samples import extraction_sample
from fvrec.vlm.spreading import Part, ReadingShard, SealedModel, read_shard
from fvrec.vlm.tokenizer import save_tokenizer


def reworded(file: Path) -> None:
    """Another file that loads as well."""
    file.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")


@pytest.fixture
def shard(model: MiniMindVLM, encoder: Encoder, items: list[Item], cache: FeatureCache, tmp_path: Path) -> ReadingShard:
    model.save_pretrained(tmp_path / "base")
    save_tokenizer(encoder.tokenizer, tmp_path / "tokenizer")
    files = ModelFiles("base", tmp_path / "base", tmp_path / "tokenizer", None, max_length=256)
    return ReadingShard(
        SealedModel.of(files),
        TowerFiles("lite0", 1, None, cache.tower.digest),
        cache.directory.parent,
        (Part([extraction_sample(items[0], "image_title")], "constrained"),),
        tmp_path / "readings.parquet",
    )


@pytest.mark.parametrize("name", ["base/config.json", "tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json"])
def test_files_that_changed_since_the_stage_saw_them_are_not_read_with(
    name: str, shard: ReadingShard, tmp_path: Path
) -> None:
    assert len(list(read_readings(read_shard(shard)))) == 1
    reworded(tmp_path / name)
    # A later run's shard: this thread must load again what it has loaded under another name.
    later = replace(shard, model=replace(shard.model, files=replace(shard.model.files, name="later")))
    with pytest.raises(FvrecError, match="a worker finds other files of the model"):
        read_shard(later)
    read_shard(replace(shard, model=SealedModel.of(shard.model.files)))
