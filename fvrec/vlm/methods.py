"""What each stage trains, and what it leaves on disk.

E1 trains the projector, the last decoder layer, the final norm and the embedding rows of the added tokens; E2 the
projector, LoRA (Hu et al., 2021) on every linear map of the LLM, and the same rows. The tower is always frozen: its
features come from the cache.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import load_file
from torch import Tensor, nn

from fvrec.errors import FvrecError
from fvrec.vlm.model import MiniMindVLM
from fvrec.vlm.plan import TrainingPlan
from fvrec.vlm.weights import load_lora_weights, save_partial, write_base_digest

MODEL_FILE = "model.safetensors"


def prepare(model: MiniMindVLM, plan: TrainingPlan, token_rows: list[int]) -> MiniMindVLM | PeftModel:
    """Freeze and unfreeze (or wrap) the model as the method asks; what is new in it is drawn from the plan's seed."""
    model.label_smoothing = plan.label_smoothing
    for module in model.projector.modules():
        if isinstance(module, nn.Dropout):
            module.p = plan.feature_dropout
    torch.manual_seed(plan.seed)
    if plan.method == "pretrain" and not plan.freeze_llm:
        return model
    if plan.method == "lora":
        if plan.quantize:
            model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=plan.gradient_checkpointing)
        return get_peft_model(model, lora_config(plan, token_rows))
    whole = ("projector.",) if plan.method == "pretrain" else _sft_prefixes(model)
    trained = {name for name, _ in model.named_parameters() if name.startswith(whole)}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained)
    _train_rows_only(model.token_embedding, token_rows)
    return model


def lora_config(plan: TrainingPlan, token_rows: list[int]) -> LoraConfig:
    """E2: LoRA on the LLM's linear maps only; projector and the added tokens' rows are trained whole."""
    return LoraConfig(
        r=plan.lora_rank,
        lora_alpha=plan.lora_alpha,
        target_modules=r"llm\.model\.layers\.\d+\..*_proj",
        modules_to_save=["projector"],
        trainable_token_indices={"embed_tokens": token_rows},
    )


def sft_parameters(model: MiniMindVLM) -> list[str]:
    """E1: names of the parameters that are trained whole: projector, last decoder layer, final norm."""
    prefixes = _sft_prefixes(model)
    return [name for name, _ in model.named_parameters() if name.startswith(prefixes)]


def _sft_prefixes(model: MiniMindVLM) -> tuple[str, ...]:
    return ("projector.", f"llm.model.layers.{model.llm.config.num_hidden_layers - 1}.", "llm.model.norm.")


def _train_rows_only(weight: Tensor, rows: list[int]) -> None:
    """Let only these rows of a (tied) embedding learn. AdamW leaves rows with zero gradient where they are."""
    mask = torch.zeros(weight.shape[0], 1)
    mask[rows] = 1.0
    weight.requires_grad_(True)
    weight.register_hook(lambda gradient: gradient * mask.to(gradient))


def save_stage(
    wrapped: MiniMindVLM | PeftModel, plan: TrainingPlan, token_rows: list[int], base_digest: str, output: Path
) -> None:
    """A checkpoint for ``pretrain``, an adapter with its base's digest for the others."""
    if plan.method == "pretrain":
        wrapped.save_pretrained(str(output))
        return
    if isinstance(wrapped, PeftModel):
        wrapped.save_pretrained(str(output))
    else:
        save_partial(wrapped, sft_parameters(wrapped), token_rows, output)
    write_base_digest(output, base_digest)


def restore(wrapped: Any, checkpoint: Path) -> None:
    """Put a trainer checkpoint's weights into the prepared model. FvrecError unless every key is accounted for."""
    if isinstance(wrapped, PeftModel):
        load_lora_weights(wrapped, checkpoint / SAFETENSORS_WEIGHTS_NAME)
        return
    missing, left_over = wrapped.load_state_dict(load_file(checkpoint / MODEL_FILE), strict=False)
    missing = set(missing) - set(wrapped.all_tied_weights_keys)
    if missing or left_over:
        problems = {"missing": sorted(missing), "left over": sorted(left_over)}
        raise FvrecError("a checkpoint's keys do not fit the model", where=checkpoint, found=problems)
