"""MiniMind-3 is a Qwen3 and MiniMind2 a Llama: same keys, same logits.

The reference is written in plain torch from the published architecture (``reference.py``). Weights are random: what is
proved is the layout and the arithmetic of every step.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from fvrec.config import LanguageModelSize
from fvrec.vlm.model import new_model
from fvrec.vlm.towers import load_tower

from .reference import MINIMIND_2, MINIMIND_3, MiniMind


def ours(shape: MiniMind) -> PreTrainedModel:
    """transformers' class for that shape, with random weights of its own."""
    same: dict[str, Any] = {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_width,
        "rms_norm_eps": shape.epsilon,
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.theta},
    }
    made = Qwen3ForCausalLM(Qwen3Config(**same)) if shape.normed_heads else LlamaForCausalLM(LlamaConfig(**same))
    return made.eval()


@torch.inference_mode()
@pytest.mark.parametrize("shape", [MINIMIND_3, MINIMIND_2], ids=["MiniMind-3 in Qwen3", "MiniMind2 in Llama"])
def test_a_checkpoint_loads_key_for_key_and_gives_the_same_logits(shape: MiniMind) -> None:
    state = shape.random_state()
    model = ours(shape)
    model.load_state_dict(state, strict=True)
    assert model.lm_head.weight is model.get_input_embeddings().weight
    ids = torch.randint(shape.vocabulary, (2, 40), generator=torch.Generator().manual_seed(1))
    expected = shape.logits(state, ids)
    torch.testing.assert_close(model(input_ids=ids).logits, expected, rtol=1e-4, atol=1e-4)
    assert float(expected.std()) > 0.1


@pytest.mark.parametrize("shape", [MINIMIND_3, MINIMIND_2], ids=["MiniMind-3", "MiniMind2"])
def test_the_other_family_does_not_take_it(shape: MiniMind) -> None:
    other = MINIMIND_2 if shape is MINIMIND_3 else MINIMIND_3
    with pytest.raises(RuntimeError, match=r"q_norm|size mismatch"):
        ours(other).load_state_dict(shape.random_state(), strict=True)


@torch.inference_mode()
def test_the_language_model_that_is_trained_here_takes_a_minimind_3_checkpoint() -> None:
    shape = MINIMIND_3
    size = LanguageModelSize(shape.layers, shape.hidden, shape.heads, shape.kv_heads, shape.intermediate)
    model = new_model(size, load_tower("lite0"), vocabulary=shape.vocabulary, image_token_id=0, seed=1).eval()
    state = shape.random_state()
    model.llm.load_state_dict(state, strict=True)
    ids = torch.arange(1, 41)[None]
    torch.testing.assert_close(model.llm(input_ids=ids).logits, shape.logits(state, ids), rtol=1e-4, atol=1e-4)
