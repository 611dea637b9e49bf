"""Accumulation, checkpointing, several processes, views, buckets, smoothing: each changes what it says and no more."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.nn import functional

from fvrec.config import PRESETS, SWAPPED_PHOTOS, TrainingBudget
from fvrec.errors import FvrecError
from fvrec.records import Item
from fvrec.vlm.collate import TrainingCollator
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.job import TrainingJob, launch
from fvrec.vlm.memory import require_memory, training_bytes
from fvrec.vlm.methods import prepare, save_stage
from fvrec.vlm.model import MiniMindVLM, load_model
from fvrec.vlm.pixels import load_pixels, view_of
from fvrec.vlm.plan import TrainingPlan, choose_precision
from fvrec.vlm.quantized import load_quantized
from fvrec.vlm.samples import Sample, extraction_sample, read_samples, sft_samples
from fvrec.vlm.schedule import Schedule, padding_waste
from fvrec.vlm.tokenizer import added_token_ids
from fvrec.vlm.trainer import is_out_of_memory
from fvrec.vlm.weights import apply_adapter, model_digest
from tests.e2e.processes import free_port

from .jobs import VIEWS, Toy, plan_of


@pytest.fixture(scope="module")
def toy(items: list[Item], encoder, cache, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return Toy.write(tmp_path_factory.mktemp("toy"), items, TrainingCollator(encoder, cache))


def curve(job: TrainingJob) -> list[float]:
    return [point.y for point in job.run().curve]


def test_neither_accumulation_nor_checkpointing_changes_what_is_learned(toy: Toy) -> None:
    plan = plan_of("lora", epochs=6, batch_size=8)
    plain = curve(toy.job("plain", plan))
    assert curve(toy.job("accumulated", replace(plan, accumulation=4))) == pytest.approx(plain, rel=0.02)
    assert curve(toy.job("checkpointed", replace(plan, gradient_checkpointing=True))) == pytest.approx(plain, rel=0.005)


def test_two_processes_learn_what_one_does(toy: Toy) -> None:
    plan = plan_of("lora", epochs=6, batch_size=8, views=VIEWS)
    alone = toy.job("alone", plan).run()
    job = toy.job("together", plan)
    together = launch(job, toy.folder / "together.json", processes=2)
    assert together.steps == alone.steps
    assert [point.y for point in together.curve] == pytest.approx([point.y for point in alone.curve], rel=0.02)
    assert load_file(Path(job.output) / "adapter_model.safetensors")
    wrong = replace(job, plan=replace(plan, batch_size=9))
    with pytest.raises(FvrecError, match="shared out evenly"):
        launch(wrong, toy.folder / "wrong.json", processes=2)


def test_two_machines_learn_what_one_does(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of("lora", epochs=6, batch_size=8)
    alone = toy.job("one-machine", plan).run()
    meeting = {"PET_NNODES": "2", "PET_RDZV_BACKEND": "c10d", "PET_RDZV_ENDPOINT": f"127.0.0.1:{free_port()}"}
    job, job_file = toy.job("two-machines", plan), toy.folder / "two-machines.json"
    job.write(job_file)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "1", "-m", "fvrec.vlm.job"]
    with subprocess.Popen([*command, str(job_file)], env={**os.environ, **meeting}) as other:
        for name, value in meeting.items():
            monkeypatch.setenv(name, value)
        together = launch(job, job_file, processes=1)
        assert other.wait(60) == 0
    assert together.steps == alone.steps
    assert [point.y for point in together.curve] == pytest.approx([point.y for point in alone.curve], rel=0.02)


def test_the_log_tells_speed_and_waste_and_tensorboard_has_the_curve(toy: Toy) -> None:
    job = toy.job("logged", plan_of("sft", epochs=6))
    outcome = job.run()
    text = Path(job.log_file).read_text()
    assert all(name in text for name in ('"padding_waste"', '"samples_per_second"', '"train_tokens_per_second"'))
    assert outcome.samples_per_second > 0
    assert outcome.tokens_per_second > outcome.samples_per_second
    events = EventAccumulator(str(Path(job.log_file).parent / "tensorboard" / "train")).Reload()
    shown = {event.step: event.value for event in events.Scalars("train/loss")}
    assert shown == pytest.approx({int(p.x): p.y for p in outcome.curve if p.curve == "sft_loss"})
    assert [event.step for event in events.Scalars("eval/loss")] == [
        int(p.x) for p in outcome.curve if p.curve == "sft_val_loss"
    ]


def test_merging_lora_into_tied_embeddings_changes_no_loss(
    model: MiniMindVLM, collator: TrainingCollator, items: list[Item], tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path / "base")
    rows = added_token_ids(collator.encoder.tokenizer)
    digest = model_digest(model)
    plan = plan_of("lora")
    wrapped = prepare(model, plan, rows)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    wrapped.eval()
    batch = collator([extraction_sample(item, "image_title") for item in items[:4]])
    expected = wrapped(**batch)
    save_stage(wrapped, plan, rows, digest, tmp_path / "adapter")
    merged = apply_adapter(load_model(tmp_path / "base"), tmp_path / "adapter").eval()
    assert merged.llm.lm_head.weight is merged.token_embedding
    found = merged(**batch)
    torch.testing.assert_close(found["logits"], expected["logits"], rtol=1e-4, atol=1e-4)
    untouched = load_model(tmp_path / "base").eval()(**batch)
    assert float((untouched["logits"] - found["logits"]).detach().abs().max()) > 0.1


def test_lora_targets_the_language_model_and_the_projector_is_saved_whole(
    model: MiniMindVLM, collator: TrainingCollator
) -> None:
    wrapped = prepare(model, plan_of("lora"), added_token_ids(collator.encoder.tokenizer))
    trained = {name for name, parameter in wrapped.named_parameters() if parameter.requires_grad}
    lora = {name for name in trained if ".lora_" in name}
    assert all(".llm.model.layers." in name for name in lora)
    assert len(lora) == 2 * 7 * 2  # A and B of seven maps in two layers
    assert {name.split(".")[2] for name in trained - lora} == {"projector", "llm"}
    assert all("modules_to_save" in name or "trainable_tokens" in name for name in trained - lora)


def test_a_frozen_language_model_leaves_projector_and_new_rows_to_learn(toy: Toy, collator: TrainingCollator) -> None:
    job = toy.job("frozen", plan_of("pretrain", epochs=6, freeze_llm=True))
    job.run()
    before, after = (dict(load_model(Path(place)).named_parameters()) for place in (job.model, job.output))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.startswith("projector.")} | {"llm.model.embed_tokens.weight"}
    rows = (before["llm.model.embed_tokens.weight"] != after["llm.model.embed_tokens.weight"]).any(dim=1)
    assert set(rows.nonzero().flatten().tolist()) <= set(added_token_ids(collator.encoder.tokenizer))


def test_label_smoothing_is_for_training_alone(
    model: MiniMindVLM, collator: TrainingCollator, items: list[Item]
) -> None:
    batch = collator([extraction_sample(items[0], "image")])
    plain = model.train()(**batch)
    targets = batch["labels"][:, 1:][batch["labels"][:, 1:] != -100]
    by_hand = -0.9 * plain["logits"].log_softmax(-1)[torch.arange(len(targets)), targets].mean()
    by_hand = by_hand - 0.1 * plain["logits"].log_softmax(-1).mean()
    model.label_smoothing = 0.1
    torch.testing.assert_close(model(**batch)["loss"], by_hand, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.eval()(**batch)["loss"], plain["loss"])


def test_feature_dropout_is_for_training_alone(
    model: MiniMindVLM, collator: TrainingCollator, items: list[Item]
) -> None:
    batch = collator([extraction_sample(item, "image") for item in items[:2]])
    plain = model.eval()(**batch)["loss"]
    prepared = prepare(model, plan_of("sft", feature_dropout=0.5), [])
    once, again = (prepared.train()(**batch)["loss"] for _ in range(2))
    assert not torch.isclose(once, again)
    torch.testing.assert_close(prepared.eval()(**batch)["loss"], plain)


def test_pretraining_measures_how_features_lie(toy: Toy, collator: TrainingCollator) -> None:
    job = toy.job("measured", plan_of("pretrain", epochs=1))
    job.run()
    projector = load_model(Path(job.output)).projector
    photos = {sample.image_sha256 for sample in read_samples(Path(job.samples)) if sample.image_sha256}
    rows = torch.from_numpy(collator.cache.rows(sorted(photos)).astype("float32"))
    torch.testing.assert_close(projector.center[-1], rows[:, -1].mean(dim=0), atol=1e-4, rtol=1e-4)


def test_a_part_of_a_batch_carries_its_share_of_the_loss(
    model: MiniMindVLM, collator: TrainingCollator, items: list[Item]
) -> None:
    samples = [extraction_sample(items[0], "title"), extraction_sample(items[1], "image_title")]
    whole = model(**collator(samples))["loss"]
    counts = [len(collator.encoder(sample).target) for sample in samples]
    parts = [model(**collator([sample]), num_items_in_batch=sum(counts))["loss"] for sample in samples]
    torch.testing.assert_close(parts[0] + parts[1], whole, rtol=1e-5, atol=1e-6)


def titled(items: list[Item], lengths: range) -> list[Sample]:
    longer = [replace(item, title="qzx" * (n % len(lengths))) for n, item in enumerate(items * 4)]
    return list(sft_samples([replace(item, item_id=str(n)) for n, item in enumerate(longer)]).samples)


def test_buckets_bring_the_waste_below_a_tenth(items: list[Item], collator: TrainingCollator) -> None:
    samples = titled(items, range(24))
    length = collator.encoder.length
    plan = plan_of("sft", epochs=20, batch_size=8)
    mixed, sorted_ = (Schedule(samples, replace(plan, bucket=bucket), length) for bucket in (1, 16))
    assert padding_waste(sorted_, 8, length) < 0.10 < padding_waste(mixed, 8, length)
    order = [sorted_[index] for index in range(len(sorted_))]
    assert min(Counter(sample.item_id for sample in order).values()) >= 20
    batches = [order[start : start + 8] for start in range(0, len(order), 8)]
    assert all(len(batch) == 8 and len({sample.inputs for sample in batch}) == 1 for batch in batches)
    widths = [max(map(length, batch)) for batch in batches if batch[0].inputs == "title"]
    assert widths != sorted(widths), "the batches of a bucket come in random order"


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_name_known_options(name: str) -> None:
    budget = PRESETS[name].training
    known = TrainingPlan.__dataclass_fields__
    shared = {field for field in TrainingBudget.__dataclass_fields__ if not field.endswith(("_epochs", "_lr"))}
    assert shared <= known.keys()
    plan = TrainingPlan("lora", 1, learning_rate=1e-3, seed=1, **{field: getattr(budget, field) for field in shared})
    assert asdict(plan)["batch_size"] % plan.accumulation == 0
    for view in plan.views:
        assert view_of("0" * 64, view) is not None


def test_photos_beside_titles_are_swapped_by_the_seed_and_nothing_else_moves(items: list[Item]) -> None:
    samples = sft_samples(items).samples
    plain = Schedule(samples, plan_of("lora", epochs=200))
    order = [plain[index] for index in range(len(plain))]
    swapping = Schedule(samples, plan_of("lora", epochs=200, swapped_photos=0.3))
    swapped = [swapping[index] for index in range(len(swapping))]
    again = Schedule(samples, plan_of("lora", epochs=200, swapped_photos=0.3))
    assert swapped == [again[index] for index in range(len(again))]

    moved = [(now, was) for now, was in zip(swapped, order, strict=True) if now != was]
    photo = {"image_sha256": "", "image_path": ""}
    assert all(replace(now, **photo) == replace(was, **photo) for now, was in moved)
    assert {now.inputs for now, _ in moved} == {"image_title"}
    whose = {item.image_sha256: item for item in items}
    assert all(str(whose[now.image_sha256].image_path) == now.image_path for now, _ in moved)

    # The category's eight items stand for a half of the swaps, all twenty-four for the other; the own photo may be hit.
    beside = sum(sample.inputs == "image_title" for sample in order)
    for wanted, found in (
        (0.3 * (0.5 * 7 / 8 + 0.5 * 23 / 24), len(moved)),
        (0.3 * 0.5 * 16 / 24, sum(_category(whose, now) != _category(whose, was) for now, was in moved)),
    ):
        assert abs(found - wanted * beside) < 4 * math.sqrt(beside * wanted * (1 - wanted))


def _category(whose: dict[str, Item], sample: Sample) -> str:
    return whose[sample.image_sha256].values["category"]


def test_a_photo_without_any_text_is_not_swapped(items: list[Item]) -> None:
    samples = sft_samples([replace(item, title="") for item in items]).samples
    plain, swapping = (Schedule(samples, plan_of("lora", epochs=200, swapped_photos=share)) for share in (0.0, 0.9))
    assert [swapping[index] for index in range(len(swapping))] == [plain[index] for index in range(len(plain))]


@pytest.mark.parametrize("share", [-0.1, 1.5, math.nan])
def test_a_share_of_swapped_photos_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(FvrecError, match="swapped_photos is no share"):
        plan_of("lora", swapped_photos=share)


def test_the_vlm_behind_a_tuned_tower_is_taught_with_swapped_photos() -> None:
    plain = PRESETS["tiny"]
    tuned = plain.tuned()
    assert plain.training.swapped_photos == 0.0
    assert TrainingPlan.of(tuned.training, "lora", 1).swapped_photos == SWAPPED_PHOTOS
    assert TrainingPlan.of(tuned.training, "sft", 1).swapped_photos == SWAPPED_PHOTOS
    assert TrainingPlan.of(tuned.training, "pretrain", 1).swapped_photos == 0.0, "it has no titles beside photos"
    assert replace(tuned.training, swapped_photos=0.0) == plain.training


def test_views_are_drawn_evenly_by_the_seed_and_move_nothing_else(items: list[Item]) -> None:
    samples = sft_samples(items).samples
    plain = Schedule(samples, plan_of("lora", epochs=40))
    seen = Schedule(samples, plan_of("lora", epochs=40, views=VIEWS))
    again = Schedule(samples, plan_of("lora", epochs=40, views=VIEWS))
    order = [seen[index] for index in range(len(seen))]
    assert order == [again[index] for index in range(len(again))]
    assert [replace(sample, view="") for sample in order] == [plain[index] for index in range(len(plain))]
    shown = Counter(sample.view for sample in order if sample.image_sha256)
    assert set(shown) == {"", *VIEWS}
    expected = sum(shown.values()) / 3
    assert all(abs(number - expected) < 4 * math.sqrt(expected) for number in shown.values())
    assert {sample.view for sample in order if not sample.image_sha256} == {""}
    one_item = [sample.view for sample in order if sample.item_id == items[0].item_id and sample.image_sha256]
    assert len(set(one_item)) == 3


def test_a_view_of_a_photo_has_features_of_its_own(items: list[Item], cache: FeatureCache, tmp_path: Path) -> None:
    own = FeatureCache(tmp_path, cache.tower)
    item = items[0]
    photos = {item.image_sha256: Path(item.image_path)}
    assert own.ensure(photos) == 1
    assert own.ensure(photos, views=["flip", "crop0", "crop1"]) == 3
    assert FeatureCache(tmp_path, cache.tower).ensure(photos, views=["flip", "crop0", "crop1"]) == 0
    flipped = own.rows([f"{item.image_sha256}#flip"])[0].astype(np.float32)
    pixels = load_pixels(Path(item.image_path), 224)[:, ::-1]
    np.testing.assert_allclose(flipped, cache.tower.encode(pixels[None].copy())[0], atol=0.05)


def test_a_crop_is_a_window_of_the_photo(tmp_path: Path) -> None:
    from PIL import Image

    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (256, 256, 3))
    Image.fromarray(np.ascontiguousarray(ramp)).save(tmp_path / "ramp.png")
    flipped = set()
    for number in range(12):
        view = view_of("ab" * 32, f"crop{number}")
        assert view is not None
        assert 0.75 <= view.scale <= 0.95
        row = load_pixels(tmp_path / "ramp.png", 64, view=view)[32, :, 0].astype(int)
        row = row[::-1] if view.flip else row
        assert np.all(np.diff(row) >= 0)
        assert (row[-1] - row[0]) / 256 == pytest.approx(view.scale, abs=0.03)
        assert row[0] / 256 == pytest.approx(view.x * (1 - view.scale), abs=0.03)
        flipped.add(view.flip)
    assert flipped == {True, False}
    assert view_of("ab" * 32, "crop3") == view_of("ab" * 32, "crop3") != view_of("cd" * 32, "crop3")
    with pytest.raises(FvrecError, match=r"unknown view.*rotate"):
        view_of("ab" * 32, "rotate")


def test_the_number_format_follows_the_device() -> None:
    assert choose_precision("cpu", bf16=True) == "bf16"
    assert choose_precision("cuda", bf16=True) == "bf16"
    assert choose_precision("cuda", bf16=False) == "fp16"
    assert choose_precision("mps", bf16=False) == "fp32"


def test_four_bits_without_the_means_say_what_is_missing(toy: Toy) -> None:
    with pytest.raises(FvrecError, match=r"bitsandbytes|CUDA device"):
        load_quantized(toy.folder / "start")


def test_too_little_memory_is_said_before_training_starts() -> None:
    model = nn.Linear(1000, 1000, bias=False)
    assert training_bytes(model) == 1_000_000 * 4 * 3
    require_memory(model, available=12_000_000)
    with pytest.raises(FvrecError, match=r"too little memory.*0\.0 GiB free.*smaller preset"):
        require_memory(model, available=11_999_999)
    assert training_bytes(model.requires_grad_(False)) == 0


def test_a_failed_allocation_is_told_from_other_faults() -> None:
    with pytest.raises(RuntimeError) as impossible:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(impossible.value)
    assert not is_out_of_memory(RuntimeError("size mismatch"))
    with pytest.raises(RuntimeError) as other:
        functional.linear(torch.zeros(2, 3), torch.zeros(4, 5))
    assert not is_out_of_memory(other.value)


def test_impossible_plans_are_refused() -> None:
    with pytest.raises(FvrecError, match="multiple of accumulation"):
        plan_of("sft", batch_size=6, accumulation=4)
    with pytest.raises(FvrecError, match="needs evaluations"):
        plan_of("sft", evaluations=0, patience=2)


def test_an_empty_val_split_is_an_error(toy: Toy) -> None:
    (toy.folder / "nothing.jsonl").write_text("")
    with pytest.raises(FvrecError, match="val split is empty"):
        toy.job("no-val", plan_of("sft"), val=str(toy.folder / "nothing.jsonl")).run()


def test_a_job_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text('{"plan": {}}')
    with pytest.raises(FvrecError, match="not a training job"):
        TrainingJob.read(tmp_path / "job.json")
