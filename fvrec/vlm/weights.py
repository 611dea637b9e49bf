"""Adapters on disk: what a tuned model adds to its base, as safetensors, with every key accounted for at load.

Two forms, told apart by their JSON: ``partial`` (E1: whole parameters and single embedding rows) and peft's LoRA (E2).
Both carry the digest of the base they were trained on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import load_file, save_file
from torch import Tensor

from fvrec.errors import FvrecError
from fvrec.vlm.model import MiniMindVLM

BASE_FILE = "base.json"
_PARTIAL_FILE, _PARTIAL_CONFIG = "partial.safetensors", "partial_config.json"
_ROWS_KEY = "embedding_rows"


def model_digest(model: MiniMindVLM) -> str:
    """SHA-256 over names and float32 values of every parameter: tells one base from another."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def write_base_digest(directory: Path, digest: str) -> None:
    """Record beside an adapter which base it belongs to."""
    (directory / BASE_FILE).write_text(json.dumps({"base_sha256": digest}) + "\n")


def save_partial(model: MiniMindVLM, names: Sequence[str], token_rows: Sequence[int], directory: Path) -> None:
    """Write the named parameters and the embedding rows of ``token_rows``."""
    state = dict(model.named_parameters())
    tensors = {name: state[name].detach().contiguous() for name in names}
    tensors[_ROWS_KEY] = model.token_embedding.detach()[list(token_rows)].contiguous()
    directory.mkdir(parents=True, exist_ok=True)
    save_file(tensors, directory / _PARTIAL_FILE)
    config = {"parameters": sorted(names), "token_rows": list(token_rows)}
    (directory / _PARTIAL_CONFIG).write_text(json.dumps(config, indent=1) + "\n")


def apply_adapter(model: MiniMindVLM, directory: Path) -> MiniMindVLM:
    """The base with the adapter merged in. FvrecError when it is absent, of another base, or its keys differ."""
    base_file = directory / BASE_FILE
    if not base_file.is_file():
        raise FvrecError("no adapter there", where=directory, allowed="a folder made by the sft or lora stage")
    expected = json.loads(base_file.read_text())["base_sha256"]
    found = model_digest(model)
    if expected != found:
        raise FvrecError("the adapter belongs to another base model", where=directory, found=found, allowed=expected)
    if (directory / _PARTIAL_CONFIG).is_file():
        return _apply_partial(model, directory)
    return _apply_lora(model, directory)


def _apply_lora(model: MiniMindVLM, directory: Path) -> MiniMindVLM:
    wrapped: Any = get_peft_model(model, PeftConfig.from_pretrained(str(directory)))
    load_lora_weights(wrapped, directory / SAFETENSORS_WEIGHTS_NAME)
    return cast(MiniMindVLM, wrapped.merge_and_unload())


def load_lora_weights(wrapped: Any, weights: Path) -> None:
    """Put an adapter file into the model it was made from, still wrapped. FvrecError unless every key fits.

    peft itself only warns of a missing key and drops a left-over one: so the keys are compared before it loads.
    """
    tensors: dict[str, Tensor] = load_file(weights)
    expected: dict[str, Tensor] = get_peft_model_state_dict(wrapped)
    problems = {
        "missing": sorted(set(expected) - set(tensors)),
        "left over": sorted(set(tensors) - set(expected)),
        "wrong shape": sorted(n for n in set(expected) & set(tensors) if expected[n].shape != tensors[n].shape),
    }
    if any(problems.values()):
        raise FvrecError("the adapter's keys do not fit the model", where=weights, found=problems)
    set_peft_model_state_dict(wrapped, tensors)


@torch.no_grad()
def _apply_partial(model: MiniMindVLM, directory: Path) -> MiniMindVLM:
    config = json.loads((directory / _PARTIAL_CONFIG).read_text())
    tensors: dict[str, Tensor] = load_file(directory / _PARTIAL_FILE)
    rows = tensors.pop(_ROWS_KEY, None)
    parameters = dict(model.named_parameters())
    if rows is None or sorted(tensors) != config["parameters"] or not set(tensors) <= set(parameters):
        raise FvrecError("the adapter's keys do not fit the model", where=directory, found=sorted(tensors))
    for name, tensor in tensors.items():
        if parameters[name].shape != tensor.shape:
            raise FvrecError("an adapter tensor has the wrong shape", where=f"{directory}: {name}", found=tensor.shape)
        parameters[name].copy_(tensor)
    model.token_embedding[config["token_rows"]] = rows
    return model
