"""The benchmark of extraction at its smallest: both sides answer, and what the grammar lets through is an answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.extraction import SIZES, make_world, our_extractor
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
