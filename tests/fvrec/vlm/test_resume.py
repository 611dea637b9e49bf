"""A training that was killed goes on as if nothing had happened, and no broken checkpoint is ever taken up."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic, sleep

import pytest
import torch
from safetensors.torch import load_file

from fvrec.errors import FvrecError
from fvrec.records import Item
from fvrec.vlm.checkpoints import CheckpointFolder
from fvrec.vlm.collate import TrainingCollator
from fvrec.vlm.job import TrainingJob
from fvrec.vlm.model import load_model
from fvrec.vlm.plan import TrainingOutcome
from fvrec.vlm.weights import apply_adapter

from .jobs import VIEWS, Toy, plan_of

SPEEDS = ("samples_per_second", "tokens_per_second", "resumed_from")


@pytest.fixture(scope="module")
def toy(items: list[Item], encoder, cache, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return Toy.write(tmp_path_factory.mktemp("toy"), items, TrainingCollator(encoder, cache))


def learned(outcome: TrainingOutcome) -> dict[str, object]:
    """The outcome without what a clock decides."""
    return {name: value for name, value in asdict(outcome).items() if name not in SPEEDS}


def weights(job: TrainingJob) -> dict[str, torch.Tensor]:
    file = next(Path(job.output).glob("*.safetensors"))
    return load_file(file)


def same_weights(one: TrainingJob, other: TrainingJob) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def logged(job: TrainingJob) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in Path(job.log_file).read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


def kill_after(job: TrainingJob, file: Path, checkpoints: int) -> None:
    """Start the job as a process and kill it once it has made so many checkpoints."""
    job.write(file)
    process = subprocess.Popen([sys.executable, "-m", "fvrec.vlm.job", str(file)])
    deadline = monotonic() + 120
    folder = CheckpointFolder(Path(job.work))
    seen: set[int] = set()
    while len(seen) < checkpoints and process.poll() is None and monotonic() < deadline:
        seen |= {int(path.parent.name.split("-")[1]) for path in folder.path.glob("checkpoint-*/whole.json")}
        sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the training ended before it could be killed"


def test_a_killed_run_goes_on_with_the_same_loss_curve(toy: Toy) -> None:
    plan = plan_of("lora", views=VIEWS, bucket=3, accumulation=2, epochs=24, evaluations=8)
    whole = toy.job("whole", plan)
    expected = whole.run()
    job = toy.job("killed", plan)
    kill_after(job, toy.folder / "killed.json", 2)
    assert not Path(job.output).exists()
    outcome = job.run()
    assert 0 < outcome.resumed_from < outcome.steps == expected.steps
    assert learned(outcome) == learned(expected)
    assert logged(job) == logged(whole)
    assert same_weights(job, whole)


@pytest.mark.parametrize("method", ["pretrain", "sft"])
def test_an_earlier_checkpoint_leads_to_the_same_end(toy: Toy, method: str) -> None:
    job = toy.job(f"early-{method}", plan_of(method, views=VIEWS))
    expected, kept = job.run(), weights(job)
    newest, before = CheckpointFolder(Path(job.work)).whole()
    shutil.rmtree(newest.path)
    again = job.run()
    assert again.resumed_from == before.step < expected.steps
    assert learned(again) == learned(expected)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in weights(job).items())


@pytest.mark.parametrize("damage", ["no seal", "cut short", "altered", "file gone"])
def test_a_broken_checkpoint_is_passed_over(toy: Toy, tmp_path: Path, damage: str) -> None:
    folder = CheckpointFolder(tmp_path / "resume")
    folder.open({"plan": 1})
    for step in (10, 20):
        folder.at(step).mkdir()
        (folder.at(step) / "model.safetensors").write_bytes(bytes(range(100)))
        folder.seal(folder.at(step))
    weights_file = folder.at(20) / "model.safetensors"
    if damage == "no seal":
        (folder.at(20) / "whole.json").unlink()
    elif damage == "cut short":
        os.truncate(weights_file, 50)
    elif damage == "altered":
        weights_file.write_bytes(bytes(range(99)) + b"\0")
    else:
        weights_file.unlink()
    found = folder.open({"plan": 1})
    assert found is not None
    assert found.step == 10
    assert not folder.at(20).exists()


def test_another_training_does_not_go_on_from_it(toy: Toy) -> None:
    job = toy.job("other", plan_of("sft", epochs=4, evaluations=0))
    job.run()
    assert CheckpointFolder(Path(job.work)).whole()
    for changed in (replace(job.plan, learning_rate=1e-4), replace(job.plan, seed=6), replace(job.plan, views=VIEWS)):
        assert replace(job, plan=changed).run().resumed_from == 0
    assert replace(job, samples=job.val).run().resumed_from == 0
    same = replace(job, samples=job.val).run()
    assert same.resumed_from == same.steps


def test_two_checkpoints_and_the_best_are_kept(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    for step in (5, 10, 15, 20):
        folder.at(step).mkdir()
        (folder.at(step) / "state").write_text(str(step))
        folder.seal(folder.at(step))
    folder.at(25).mkdir()  # in the making
    folder.prune(best_step=5)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"checkpoint-{step}" for step in (15, 20, 25, 5)]


def test_training_stops_when_val_gets_no_better_and_the_best_is_kept(toy: Toy) -> None:
    job = toy.job("early-stop", plan_of("lora", epochs=100, learning_rate=5e-2, evaluations=30, patience=3))
    outcome = job.run()
    losses = {point.x: point.y for point in outcome.curve if point.curve == "lora_val_loss"}
    assert outcome.steps < 100 * 18 // 4
    assert outcome.eval_loss == min(losses.values()) == losses[outcome.best_step]
    assert list(losses).index(outcome.best_step) == len(losses) - 1 - 3
    best = load_file(CheckpointFolder(Path(job.work)).at(outcome.best_step) / "adapter_model.safetensors")
    assert all(torch.equal(tensor, best[name]) for name, tensor in weights(job).items())
    apply_adapter(load_model(Path(job.model)), Path(job.output))
    again = job.run()
    assert learned(again) == learned(outcome)


def test_a_loss_that_is_no_number_stops_and_the_last_checkpoint_stays(toy: Toy) -> None:
    job = toy.job("nan", plan_of("pretrain", epochs=4, evaluations=0, checkpoints=60, learning_rate=1e25))
    with pytest.raises(FvrecError, match=r"not a number any more: lower the learning rate.*last whole checkpoint"):
        job.run()
    assert not Path(job.output).exists()
    kept = CheckpointFolder(Path(job.work)).whole()
    assert kept
    for checkpoint in kept:
        state = load_file(checkpoint.path / "model.safetensors")
        assert all(bool(torch.isfinite(tensor).all()) for tensor in state.values())


def test_a_save_that_fails_names_the_place_and_spares_the_one_before(toy: Toy) -> None:
    job = toy.job("full", plan_of("sft", epochs=8, evaluations=0, checkpoints=4))
    job.run()
    expected = weights(job)
    newest, before = CheckpointFolder(Path(job.work)).whole()
    shutil.rmtree(newest.path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # as good as a full disk
        with pytest.raises(FvrecError, match=r"a checkpoint could not be saved.*checkpoint-\d+.*run the same command"):
            job.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert CheckpointFolder(Path(job.work)).whole() == [before]
    assert job.run().resumed_from == before.step
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(job).items())
