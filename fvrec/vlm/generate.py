"""Mode ``raw``: plain greedy generation, nothing forced. What comes out is judged as it is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from fvrec.vlm.collate import pad
from fvrec.vlm.model import MiniMindVLM


@torch.inference_mode()
def write_answers(
    model: MiniMindVLM,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[Sequence[int]],
    features: Tensor | None,
    *,
    longest: int,
) -> list[str]:
    """What the model writes after each prompt, to its end mark or ``longest`` tokens. ``features``: ``[I, T, D]``."""
    input_ids = pad(prompts, int(tokenizer.pad_token_id), "left").to(model.device)
    mask = pad([[1] * len(prompt) for prompt in prompts], 0, "left").to(model.device)
    generated = model.llm.generate(
        inputs_embeds=model.embed(input_ids, features),
        attention_mask=mask,
        max_new_tokens=longest,
        do_sample=False,
        pad_token_id=int(tokenizer.pad_token_id),
        eos_token_id=int(tokenizer.eos_token_id),
    )
    return [_text(tokenizer, row) for row in generated.tolist()]


def _text(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> str:
    """What was written before the end mark; without an end mark, everything (which then is no valid JSON)."""
    end = int(tokenizer.eos_token_id)
    answer = ids[: ids.index(end)] if end in ids else ids
    return str(tokenizer.decode(answer, skip_special_tokens=False))
