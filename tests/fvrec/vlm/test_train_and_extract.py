"""Learning is proved on a toy whose answer is known: the colour of a square decides every label."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fvrec.errors import FvrecError
from fvrec.evaluation import evaluate
from fvrec.records import Item, Prediction
from fvrec.vlm.collate import TrainingCollator
from fvrec.vlm.extract import Extractor
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.methods import sft_parameters
from fvrec.vlm.model import MiniMindVLM, load_model, new_model
from fvrec.vlm.plan import TrainingPlan
from fvrec.vlm.samples import Sample, caption_sample, extraction_sample, sft_samples
from fvrec.vlm.schedule import Schedule
from fvrec.vlm.tokenizer import added_token_ids, save_tokenizer
from fvrec.vlm.train import run_training
from fvrec.vlm.weights import apply_adapter

from .conftest import SIZE


@dataclass(frozen=True)
class Trained:
    folder: Path
    collator: TrainingCollator


def plan(method: str, epochs: float) -> TrainingPlan:
    return TrainingPlan(method, epochs, batch_size=8, learning_rate=5e-3, seed=1, lora_rank=8, lora_alpha=16)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(items: list[Item], cache: FeatureCache, encoder, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    collator = TrainingCollator(encoder, cache)
    base = new_model(
        SIZE,
        cache.tower,
        vocabulary=len(encoder.tokenizer),
        image_token_id=encoder.tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        seed=3,
    )
    captions = [caption_sample(item) for item in items]
    save_tokenizer(encoder.tokenizer, folder / "tokenizer")
    train(base, captions, collator, plan("pretrain", 10), folder / "base")
    samples = sft_samples(items).samples
    for method, epochs in (("sft", 80), ("lora", 80)):
        train(load_model(folder / "base"), samples, collator, plan(method, epochs), folder / method)
    return Trained(folder, collator)


def train(model: MiniMindVLM, samples: list[Sample], collator: TrainingCollator, how: TrainingPlan, output: Path):
    log = output.parent / f"{how.method}.log"
    return run_training(model, samples, collator, how, output=output, log_file=log, show_progress=False)


def extractor(trained: Trained, name: str) -> Extractor:
    return Extractor.assemble(
        name,
        base=trained.folder / "base",
        tokenizer=trained.folder / "tokenizer",
        adapter=None if name == "base" else trained.folder / name,
        max_length=256,
    )


def predict(trained: Trained, name: str, items: list[Item]) -> list[Prediction]:
    samples = [extraction_sample(item, "image") for item in items]
    return extractor(trained, name).predict(samples, trained.collator.cache, batch_size=7)


@pytest.mark.parametrize("name", ["sft", "lora"])
def test_a_tuned_model_reads_the_toy_without_fault(trained: Trained, items: list[Item], name: str) -> None:
    predictions = predict(trained, name, items)
    assert [p.item_id for p in predictions] == [item.item_id for item in items]
    truth = {item.item_id: item for item in items}
    values = {
        (metric.metric, metric.field): metric.value
        for metric in evaluate(predictions, truth, ["category", "color"], seed=0).metrics
    }
    assert values["json_valid_rate", ""] == 1.0
    assert values["schema_pass_rate", ""] == 1.0
    assert values["accuracy", "color"] == 1.0
    assert values["accuracy", "category"] == 1.0


@pytest.mark.parametrize("inputs", ["image", "title", "image_title"])
def test_constrained_reads_what_a_tuned_model_writes_by_itself(
    trained: Trained, items: list[Item], inputs: str
) -> None:
    samples = [extraction_sample(item, inputs) for item in items]
    one = extractor(trained, "lora")
    raw = one.predict(samples, trained.collator.cache)
    constrained = one.predict(samples, trained.collator.cache, mode="constrained", batch_size=7)
    assert [p.attributes for p in constrained] == [p.attributes for p in raw]
    assert all(p.schema_valid for p in constrained)


def test_the_base_writes_titles_not_json(trained: Trained, items: list[Item]) -> None:
    predictions = predict(trained, "base", items[:6])
    assert not any(prediction.json_valid for prediction in predictions)
    assert all(prediction.attributes == {} for prediction in predictions)


def test_batching_does_not_change_answers(trained: Trained, items: list[Item]) -> None:
    samples = [extraction_sample(item, inputs) for item in items[:6] for inputs in ("image", "title", "image_title")]
    one = extractor(trained, "lora")
    alone = [one.predict([sample], trained.collator.cache)[0].raw_output for sample in samples]
    together = [p.raw_output for p in one.predict(samples, trained.collator.cache, batch_size=5)]
    assert together == alone


def test_sft_changes_only_what_it_says(trained: Trained) -> None:
    base = load_model(trained.folder / "base")
    tuned = apply_adapter(load_model(trained.folder / "base"), trained.folder / "sft")
    allowed = {*sft_parameters(base), "llm.model.embed_tokens.weight"}
    before = dict(base.named_parameters())
    changed = {name for name, value in tuned.named_parameters() if not torch.equal(value, before[name])}
    assert changed == allowed
    rows = (base.token_embedding != tuned.token_embedding).any(dim=1).nonzero().flatten().tolist()
    assert set(rows) <= set(added_token_ids(trained.collator.encoder.tokenizer))


def test_lora_leaves_norms_and_old_words_alone(trained: Trained) -> None:
    base = load_model(trained.folder / "base")
    tuned = dict(apply_adapter(load_model(trained.folder / "base"), trained.folder / "lora").named_parameters())
    for name, value in base.named_parameters():
        if "norm" in name:
            assert torch.equal(value, tuned[name]), name
    embedding = tuned["llm.model.embed_tokens.weight"]
    rows = (base.token_embedding != embedding).any(dim=1).nonzero().flatten().tolist()
    assert set(rows) <= set(added_token_ids(trained.collator.encoder.tokenizer))
    assert rows


def test_an_adapter_of_another_base_is_refused(trained: Trained, model: MiniMindVLM) -> None:
    for name in ("sft", "lora"):
        with pytest.raises(FvrecError, match="another base"):
            apply_adapter(model, trained.folder / name)


@pytest.mark.parametrize("part", ["lora_A", "projector", "token_adapter"])
def test_a_lora_key_that_is_missing_is_an_error(trained: Trained, tmp_path: Path, part: str) -> None:
    folder = shutil.copytree(trained.folder / "lora", tmp_path / "lora")
    tensors = load_file(folder / "adapter_model.safetensors")
    dropped = next(name for name in sorted(tensors) if part in name)
    save_file(
        {name: tensor for name, tensor in tensors.items() if name != dropped}, folder / "adapter_model.safetensors"
    )
    with pytest.raises(FvrecError, match=rf"missing.*{re.escape(dropped)}"):
        apply_adapter(load_model(trained.folder / "base"), folder)


def test_a_lora_key_that_is_left_over_or_misshapen_is_an_error(trained: Trained, tmp_path: Path) -> None:
    folder = shutil.copytree(trained.folder / "lora", tmp_path / "lora")
    tensors = load_file(folder / "adapter_model.safetensors")
    save_file({**tensors, "stray": torch.zeros(1)}, folder / "adapter_model.safetensors")
    with pytest.raises(FvrecError, match=r"left over.*stray"):
        apply_adapter(load_model(trained.folder / "base"), folder)
    name = next(name for name in sorted(tensors) if "lora_A" in name)
    save_file({**tensors, name: tensors[name][:1].contiguous()}, folder / "adapter_model.safetensors")
    with pytest.raises(FvrecError, match=rf"wrong shape.*{re.escape(name)}"):
        apply_adapter(load_model(trained.folder / "base"), folder)


def test_no_adapter_there(model: MiniMindVLM, tmp_path: Path) -> None:
    with pytest.raises(FvrecError, match="no adapter"):
        apply_adapter(model, tmp_path)


def test_an_empty_split_is_an_error(model: MiniMindVLM, collator: TrainingCollator, tmp_path: Path) -> None:
    with pytest.raises(FvrecError, match="empty"):
        train(model, [], collator, plan("pretrain", 1), tmp_path / "out")


def test_the_same_seed_trains_the_same(
    items: list[Item], collator: TrainingCollator, encoder, cache: FeatureCache, tmp_path: Path
) -> None:
    def once(name: str) -> float:
        fresh = new_model(SIZE, cache.tower, vocabulary=len(encoder.tokenizer), image_token_id=3, seed=5)
        fresh.config.image_token_id = encoder.tokenizer.convert_tokens_to_ids("<|image_pad|>")
        return train(fresh, sft_samples(items).samples, collator, plan("pretrain", 1), tmp_path / name).last_loss

    assert once("first") == once("second")


def test_batches_hold_one_variant_and_each_item_comes_once_a_pass(items: list[Item]) -> None:
    samples = sft_samples(items).samples
    schedule = Schedule(samples, plan("lora", 5))
    order = [schedule[index] for index in range(len(schedule))]
    batches = [order[start : start + 8] for start in range(0, len(order), 8)]
    assert all(len({sample.inputs for sample in batch}) == 1 and len(batch) == 8 for batch in batches)
    seen = {item.item_id: sum(sample.item_id == item.item_id for sample in order) for item in items}
    assert min(seen.values()) >= 5
