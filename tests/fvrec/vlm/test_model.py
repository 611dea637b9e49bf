from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from fvrec.errors import FvrecError
from fvrec.records import Item
from fvrec.vlm.collate import TrainingCollator
from fvrec.vlm.model import IGNORED, MiniMindVLM, ScaledProjector, load_model
from fvrec.vlm.samples import extraction_sample


def test_loss_is_that_of_the_answer_tokens_alone(
    model: MiniMindVLM, collator: TrainingCollator, items: list[Item]
) -> None:
    samples = [extraction_sample(items[0], "image_title"), extraction_sample(items[1], "image")]
    batch = collator(samples)
    embedded = model.embed(batch["input_ids"], batch["features"])
    logits = model.llm(inputs_embeds=embedded, attention_mask=batch["attention_mask"]).logits
    total, count = 0.0, 0
    for row, sample in enumerate(samples):
        encoded = collator.encoder(sample)
        for offset, token in enumerate(encoded.target):
            position = len(encoded.prompt) + offset - 1
            total += float(functional.cross_entropy(logits[row, position], torch.tensor(token)))
            count += 1
    assert float(model(**batch)["loss"]) == pytest.approx(total / count, rel=1e-4)


def test_labels_cover_target_and_nothing_else(collator: TrainingCollator, items: list[Item]) -> None:
    sample = extraction_sample(items[0], "image_title")
    batch = collator([sample, extraction_sample(items[1], "image")])
    labels = batch["labels"][0]
    text = collator.encoder.tokenizer.decode(labels[labels != IGNORED])
    assert text == sample.target + "<|im_end|>"


def test_every_image_must_have_its_features(model: MiniMindVLM, collator: TrainingCollator, items: list[Item]) -> None:
    batch = collator([extraction_sample(items[0], "image"), extraction_sample(items[1], "image")])
    with pytest.raises(FvrecError, match="differ in number"):
        model.embed(batch["input_ids"], batch["features"][:1])
    with pytest.raises(FvrecError, match="differ in number"):
        model.embed(batch["input_ids"], None)


def test_the_picture_changes_the_prediction(model: MiniMindVLM, collator: TrainingCollator, items: list[Item]) -> None:
    batch = collator([extraction_sample(items[0], "image")])
    other = collator([extraction_sample(items[1], "image")])["features"]
    first = model(**batch)["logits"]
    second = model(**{**batch, "features": other})["logits"]
    assert not torch.allclose(first, second)


def test_saved_and_loaded_gives_the_same_loss(
    model: MiniMindVLM, collator: TrainingCollator, items: list[Item], tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path)
    batch = collator([extraction_sample(items[0], "image")])
    assert float(load_model(tmp_path)(**batch)["loss"]) == pytest.approx(float(model(**batch)["loss"]), rel=1e-6)


def test_a_missing_or_left_over_key_is_an_error(model: MiniMindVLM, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    state = load_file(file)
    kept = {name: tensor for name, tensor in state.items() if name != "projector.networks.1.1.weight"}
    save_file(kept, file, metadata={"format": "pt"})
    with pytest.raises(FvrecError, match=r"projector\.networks\.1\.1\.weight"):
        load_model(tmp_path)
    save_file({**state, "stray": torch.zeros(1)}, file, metadata={"format": "pt"})
    with pytest.raises(FvrecError, match="stray"):
        load_model(tmp_path)


def test_no_checkpoint_there(tmp_path: Path) -> None:
    with pytest.raises(FvrecError, match="no model checkpoint"):
        load_model(tmp_path)


def test_the_language_model_has_the_keys_of_a_minimind_3_checkpoint(model: MiniMindVLM) -> None:
    """Qwen3 names, tied output layer: what MiniMind-3 publishes."""
    layer = [
        *(f"self_attn.{name}.weight" for name in ("q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm")),
        *(f"mlp.{name}.weight" for name in ("gate_proj", "up_proj", "down_proj")),
        "input_layernorm.weight",
        "post_attention_layernorm.weight",
    ]
    expected = {f"model.layers.{number}.{name}" for number in range(2) for name in layer}
    expected |= {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}
    assert set(model.llm.state_dict()) == expected
    assert model.llm.lm_head.weight is model.llm.model.embed_tokens.weight


def test_the_projector_sees_standardised_features_and_nothing_of_a_constant_channel() -> None:
    random = torch.Generator().manual_seed(0)
    photos = 50 + 7 * torch.randn(400, 6, 5, generator=random)  # 2 x 2 cells and two tokens that sum the photo up
    photos[:, 5] *= 100
    photos[:, :, 3] = 2.0
    projector = ScaledProjector((3, 2), hidden=4, tokens=6)
    projector.fit(photos)
    seen: list[torch.Tensor] = []
    for network in projector.networks:
        network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    assert projector(photos).shape == (400, 6, 4)
    assert [part.shape for part in seen] == [(400, 4, 5), (400, 1, 5), (400, 1, 5)]
    for part in seen:
        rows = part.flatten(0, 1)
        torch.testing.assert_close(rows.mean(dim=0), torch.zeros(5), atol=1e-3, rtol=0)
        torch.testing.assert_close(rows.std(dim=0, correction=0), torch.tensor([1.0, 1, 1, 0, 1]), atol=2e-2, rtol=0)
    seen.clear()
    projector(photos * 1e4)
    assert max(float(part.abs().max()) for part in seen) == 10.0


def test_the_tokens_of_a_photo_are_projected_each_by_its_kind() -> None:
    torch.manual_seed(0)
    projector = ScaledProjector((4,), hidden=3, tokens=6)
    same = torch.ones(1, 6, 4)
    first, *others = projector(same)[0]
    torch.testing.assert_close(torch.stack(others[:3]), first.expand(3, 3))
    assert not torch.allclose(others[3], first)
    assert not torch.allclose(others[4], others[3])
