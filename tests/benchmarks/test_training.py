"""The loops that the benchmark compares learn the same thing; only their speed differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import training
from benchmarks.training import Bench, loop
from fvrec.config import get_preset


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training, "ITEMS", 24)
        preset = replace(get_preset("smoke"), max_length=160)
        return Bench.make(preset, tmp_path_factory.mktemp("bench"), 3)


def test_padding_and_the_tower_in_the_loop_change_no_loss(bench: Bench) -> None:
    plan = bench.plan(batch=4, epochs=1, seed=3)
    samples = [sample for sample in bench.samples if sample.inputs == "image_title"][:4]
    batch = bench.collator(samples)
    wide = training._to_length(batch, bench.preset.max_length, bench.collator)
    assert wide["input_ids"].shape == wide["labels"].shape == (4, 160)
    model = training.prepare(bench.model(3), plan, [1]).eval()
    torch.testing.assert_close(training._plain_loss(model, wide), model(**batch)["loss"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(training._encode(bench, samples), batch["features"], atol=0.05, rtol=0.05)


def test_every_loop_takes_a_step(bench: Bench) -> None:
    plan = bench.plan(batch=4, epochs=1, seed=3)
    for padded, tower in ((False, False), (True, False), (True, True)):
        loop(bench, plan, padded=padded, tower_each_step=tower)(bench.samples[:4])


def test_numbers_have_a_rate_for_each_loop_and_consistent_ratios(bench: Bench, tmp_path: Path) -> None:
    numbers = training.speeds(bench, steps=1, batch=2, rounds=1, seed=3)
    rate = {name: numbers[f"{name}_samples_per_second"] for name in ("ours", "padded_cached", "plain")}
    for name in ("plain", "padded_cached"):
        assert numbers[f"speedup_vs_{name}"] == pytest.approx(rate["ours"] / rate[name])
    assert 0 <= numbers["padding_waste"] < 1
