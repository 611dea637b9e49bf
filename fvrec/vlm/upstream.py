"""Published checkpoints -> ``MiniMindVLM``: names mapped one by one, every key accounted for.

minimind-v (MiniMind2-V): a Llama behind CLIP ViT-B/16, ``vision_proj.vision_proj.0`` one linear map.
minimind-3v (MiniMind-3V): a Qwen3 behind SigLIP2, ``vision_proj.mlp`` LayerNorm, linear, GELU, linear.
Architecture: https://github.com/jingyaogong/minimind-v. SmolLM2: a Llama; its projector is new.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaConfig, PreTrainedConfig, PreTrainedTokenizerFast, Qwen3Config

from fvrec.errors import FvrecError
from fvrec.vlm.model import MiniMindVLM, model_around
from fvrec.vlm.tokenizer import IMAGE_TOKEN, token_id
from fvrec.vlm.towers import Tower
from fvrec.vlm.vocabulary import extend_vocabulary

State = dict[str, Tensor]
_EMBEDDING, _HEAD = "model.embed_tokens.weight", "lm_head.weight"
_ELSEWHERE = re.compile(r"vision_encoder\.|model\.freqs_(cos|sin)$|.*rotary_emb\.inv_freq$")
"""The frozen encoder, which has a folder of its own, and tables that are computed."""
_PROJECTORS = {"linear": r"vision_proj\.vision_proj\.0\.", "mlp": r"vision_proj\.mlp\."}
_OURS = {"linear": "projector.maps.0.", "mlp": "projector.mlp."}


@dataclass(frozen=True)
class Checkpoint:
    """A published checkpoint: its parameters by upstream's names, and its ``config.json`` (empty beside a ``.pth``)."""

    path: Path
    state: State
    config: Mapping[str, Any]

    @property
    def projector(self) -> str:
        """``linear``, ``mlp``, or empty for a bare language model."""
        return next((kind for kind, key in _PROJECTORS.items() if any(re.match(key, name) for name in self.state)), "")


def read_published(directory: Path) -> Checkpoint:
    """Either layout: ``model.safetensors`` / ``pytorch_model.bin`` with ``config.json``, or one native ``.pth``.

    FvrecError when there is none, more than one, or it is not whole. A ``.pth`` runs no code (``weights_only``).
    """
    names = ("model.safetensors", "pytorch_model.bin")
    files = [directory / name for name in names if (directory / name).is_file()][:1] or sorted(directory.glob("*.pth"))
    if len(files) != 1:
        raise FvrecError(
            "no published weights there" if not files else "more than one native checkpoint there",
            where=directory,
            found=[file.name for file in files] or None,
            allowed=f"one of {', '.join(names)}, or a single .pth; `fvrec weights fetch` gets them",
        )
    config = directory / "config.json"
    return Checkpoint(files[0], _read(files[0]), json.loads(config.read_text()) if config.is_file() else {})


def _read(file: Path) -> State:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, SafetensorError, pickle.UnpicklingError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FvrecError(f"the weights cannot be read ({reason})", where=file, allowed="a whole download") from error
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise FvrecError("the file holds no parameters by name", where=file, found=type(state).__name__)
    return state


def model_from(checkpoint: Checkpoint, tower: Tower, tokenizer: PreTrainedTokenizerFast, *, seed: int) -> MiniMindVLM:
    """The published model behind that tower, for that (extended) tokenizer.

    A bare language model gets a new projector. FvrecError that names every missing and left-over key, and when the
    tokenizer's own words are not as many as the model knows, or the tower's features not as wide as the projector.
    """
    state = {name: tensor.float() for name, tensor in checkpoint.state.items() if not _ELSEWHERE.match(name)}
    llm = language_model(state, checkpoint)
    kind = checkpoint.projector
    image = token_id(tokenizer, IMAGE_TOKEN)
    model = model_around(llm, tower, image_token_id=image, seed=seed, projector=kind or "scaled")
    _load(model, _renamed(state, kind), checkpoint, with_projector=bool(kind))
    extend_vocabulary(model, tokenizer)
    return model


def language_model(state: State, checkpoint: Checkpoint) -> PreTrainedConfig:
    """Shape of the language model by its parameters; what they do not show by ``config.json``, else upstream's own."""
    if any(".experts." in name for name in state):
        raise FvrecError("mixture-of-experts weights are not supported", where=checkpoint.path, allowed="a dense model")
    layers = {int(found[1]) for name in state if (found := re.match(r"model\.layers\.(\d+)\.", name))}
    first = "model.layers.0."
    shown = ("self_attn.q_proj", "self_attn.k_proj", "mlp.gate_proj")
    needed = [_EMBEDDING, *(f"{first}{name}.weight" for name in shown)]
    missing = [name for name in needed if name not in state]
    if missing:
        problems = {"missing": missing, "left over": sorted(set(state) - set(needed))[:8]}
        raise FvrecError("this is no MiniMind checkpoint", where=checkpoint.path, found=problems)
    embedding, queries, keys, gate = (state[name].shape for name in needed)
    normed = f"{first}self_attn.q_norm.weight" in state
    heads = int(checkpoint.config.get("num_attention_heads", 8))
    head = state[f"{first}self_attn.q_norm.weight"].shape[0] if normed else queries[0] // heads
    shape: dict[str, Any] = {
        "vocab_size": embedding[0],
        "hidden_size": embedding[1],
        "intermediate_size": gate[0],
        "num_hidden_layers": max(layers) + 1,
        "num_attention_heads": queries[0] // head,
        "num_key_value_heads": keys[0] // head,
        "head_dim": head,
        "rms_norm_eps": float(checkpoint.config.get("rms_norm_eps", 1e-6 if normed else 1e-5)),
        "max_position_embeddings": int(checkpoint.config.get("max_position_embeddings", 32768)),
        "rope_parameters": {"rope_type": "default", "rope_theta": _theta(checkpoint.config)},
        "tie_word_embeddings": True,
    }
    return Qwen3Config(**shape) if normed else LlamaConfig(**shape)


def _theta(config: Mapping[str, Any]) -> float:
    return float(config.get("rope_theta") or (config.get("rope_parameters") or {}).get("rope_theta") or 1e6)


def _renamed(state: State, kind: str) -> State:
    """Upstream's names -> ours."""
    renamed = {}
    for name, tensor in state.items():
        ours = re.sub(f"^{_PROJECTORS[kind]}", _OURS[kind], name) if kind else name
        renamed[ours if ours != name else f"llm.{name}"] = tensor
    return renamed


def _load(model: MiniMindVLM, state: State, checkpoint: Checkpoint, *, with_projector: bool) -> None:
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if not with_projector:
        expected = {name: shape for name, shape in expected.items() if not name.startswith("projector.")}
    head, embedding = state.get(f"llm.{_HEAD}"), state[f"llm.{_EMBEDDING}"]
    if head is None:
        state[f"llm.{_HEAD}"] = embedding
    elif not torch.equal(head, embedding):
        raise FvrecError("output layer and embedding differ: they are one in this family", where=checkpoint.path)
    problems = {
        "missing": sorted(set(expected) - set(state)),
        "left over": sorted(set(state) - set(expected)),
        "wrong shape": [
            f"{name} {tuple(state[name].shape)}, not {tuple(expected[name])}"
            for name in sorted(set(expected) & set(state))
            if state[name].shape != expected[name]
        ],
    }
    if any(problems.values()):
        raise FvrecError("the published weights do not fit", where=checkpoint.path, found=problems)
    model.load_state_dict(state, strict=with_projector)
