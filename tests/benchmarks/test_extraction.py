"""The benchmark of extraction at its smallest: both sides answer, and what the grammar lets through is an answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import extraction
from benchmarks.extraction import SIZES
from benchmarks.extraction_world import make_world, our_extractor
from benchmarks.plain_extraction import PlainExtractor, general_tokenizer
from fvrec.config import PRESETS
from fvrec.schema import parse_answer


@pytest.mark.slow
def test_both_sides_answer_the_same_samples(tmp_path: Path) -> None:
    pytest.importorskip("llguidance")
    world = make_world(tmp_path, 8, seed=1)
    size = PRESETS["smoke"].llm
    tokenizer = general_tokenizer(world.titles)
    assert len(tokenizer) == 6400
    texts = PlainExtractor(size, world.tower, tokenizer, grammar=True).answer(world.samples[:2], world.features)
    assert all(parse_answer(text).schema_valid for text in texts), texts
    plain = PlainExtractor(size, world.tower, tokenizer, grammar=False)
    generated = plain.answer(world.samples[:2], world.features)
    assert len(generated) == 2
    readings = our_extractor(size, world).read(world.samples, world.features)
    assert all(reading.prediction.schema_valid for reading in readings)


def test_the_small_size_is_minimind2_small() -> None:
    small = SIZES["small"]
    assert (small.layers, small.hidden) == (8, 512)


@pytest.mark.slow
def test_it_writes_what_it_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llguidance")
    monkeypatch.setattr(extraction, "SIZES", {"tiny": PRESETS["smoke"].llm})
    monkeypatch.setattr(extraction, "PHOTOS", 12)
    monkeypatch.setattr(extraction, "OURS_BATCHES", (4,))
    monkeypatch.setattr(extraction, "PLAIN_BATCHES", (2,))
    file = tmp_path / "numbers.json"
    threads = str(torch.get_num_threads())
    smallest = ["--sizes", "tiny", "--repeats", "1", "--images", "600", "--no-smollm2", "--threads", threads]
    assert extraction.main(["--json", str(file), *smallest]) == 0
    found = json.loads(file.read_text())
    for name in ("speedup_vs_generate", "speedup_vs_grammar", "speedup_from_pixels"):
        low, high = found[f"{name}_range"]
        assert 0 < low <= found[name] <= high
    assert found["smollm2_images_per_s"] is None
    assert found["streaming"]["images"] == 600
    assert found["presets"]["tiny"]["plain"]["batch"] == 2
