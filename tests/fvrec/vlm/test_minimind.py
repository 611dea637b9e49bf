"""MiniMind-3 is a Qwen3 and MiniMind2 a Llama: same keys, same logits.

The reference below is written in plain torch from the published architecture (https://github.com/jingyaogong/minimind),
not from transformers' classes. Weights are random: what is proved is the layout and the arithmetic of every step.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from fvrec.config import LanguageModelSize
from fvrec.vlm.model import new_model
from fvrec.vlm.towers import load_tower

State = dict[str, Tensor]
EMBEDDING, HEAD, LAST_NORM = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"


@dataclass(frozen=True)
class MiniMind:
    """The shape of a MiniMind language model, and its forward pass over a state dict."""

    kv_heads: int
    normed_heads: bool
    epsilon: float
    heads: int = 8
    head_width: int = 16
    layers: int = 2
    intermediate: int = 192
    vocabulary: int = 6400
    theta: float = 1e6

    @property
    def hidden(self) -> int:
        return self.heads * self.head_width

    def random_state(self, seed: int = 0) -> State:
        """Every parameter under its published name; the output layer is the embedding."""
        generator = torch.Generator().manual_seed(seed)
        queries, keys = self.heads * self.head_width, self.kv_heads * self.head_width
        shapes: dict[str, tuple[int, ...]] = {EMBEDDING: (self.vocabulary, self.hidden), LAST_NORM: (self.hidden,)}
        layer = {
            "self_attn.q_proj": (queries, self.hidden),
            "self_attn.k_proj": (keys, self.hidden),
            "self_attn.v_proj": (keys, self.hidden),
            "self_attn.o_proj": (self.hidden, queries),
            "mlp.gate_proj": (self.intermediate, self.hidden),
            "mlp.up_proj": (self.intermediate, self.hidden),
            "mlp.down_proj": (self.hidden, self.intermediate),
            "input_layernorm": (self.hidden,),
            "post_attention_layernorm": (self.hidden,),
            **(
                dict.fromkeys(("self_attn.q_norm", "self_attn.k_norm"), (self.head_width,)) if self.normed_heads else {}
            ),
        }
        for number in range(self.layers):
            shapes |= {f"model.layers.{number}.{name}.weight": shape for name, shape in layer.items()}
        # Gains around 1 and matrices of unit output variance: no step is so small that a fault in it would not show.
        state = {
            name: torch.randn(shape, generator=generator) * (0.3 if len(shape) == 1 else shape[-1] ** -0.5)
            + (1.0 if len(shape) == 1 else 0.0)
            for name, shape in shapes.items()
        }
        return state | {HEAD: state[EMBEDDING]}

    def logits(self, state: State, ids: Tensor) -> Tensor:
        """``[B, L]`` -> ``[B, L, V]``."""
        stream = state[EMBEDDING][ids]
        for number in range(self.layers):
            own = {name: state[f"model.layers.{number}.{name}.weight"] for name in _layer_names(state)}
            stream = stream + self._attention(own, self._norm(stream, own["input_layernorm"]))
            stream = stream + self._mlp(own, self._norm(stream, own["post_attention_layernorm"]))
        return self._norm(stream, state[LAST_NORM]) @ state[HEAD].T

    def _norm(self, x: Tensor, gain: Tensor) -> Tensor:
        return gain * x / (x.square().mean(dim=-1, keepdim=True) + self.epsilon).sqrt()

    def _mlp(self, own: State, x: Tensor) -> Tensor:
        gate = x @ own["mlp.gate_proj"].T
        return (gate * gate.sigmoid() * (x @ own["mlp.up_proj"].T)) @ own["mlp.down_proj"].T

    def _attention(self, own: State, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        queries = (x @ own["self_attn.q_proj"].T).view(batch, length, self.heads, self.head_width)
        keys = (x @ own["self_attn.k_proj"].T).view(batch, length, self.kv_heads, self.head_width)
        values = (x @ own["self_attn.v_proj"].T).view(batch, length, self.kv_heads, self.head_width)
        if self.normed_heads:
            queries = self._norm(queries, own["self_attn.q_norm"])
            keys = self._norm(keys, own["self_attn.k_norm"])
        queries, keys = self._rotated(queries), self._rotated(keys)
        mixed = [
            self._one_head(queries[:, :, head], keys[:, :, group], values[:, :, group])
            for head in range(self.heads)
            for group in [head * self.kv_heads // self.heads]  # neighbouring heads share keys and values
        ]
        return torch.cat(mixed, dim=-1) @ own["self_attn.o_proj"].T

    def _one_head(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        scores = query @ key.transpose(1, 2) / self.head_width**0.5
        future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        return functional.softmax(scores.masked_fill(future, float("-inf")), dim=-1) @ value

    def _rotated(self, x: Tensor) -> Tensor:
        """Channel i turns with channel i + half, by position x theta^(-i/half). x: ``[B, L, heads, width]``."""
        half = self.head_width // 2
        speed = self.theta ** (-torch.arange(half) / half)
        angle = (torch.arange(x.shape[1])[:, None] * speed)[:, None]  # [L, 1, half]
        first, second = x[..., :half], x[..., half:]
        turned = (first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin())
        return torch.cat(turned, dim=-1)


def _layer_names(state: State) -> set[str]:
    return {found[1] for name in state if (found := re.fullmatch(r"model\.layers\.\d+\.(.+)\.weight", name))}


MINIMIND_3 = MiniMind(kv_heads=4, normed_heads=True, epsilon=1e-6)
MINIMIND_2 = MiniMind(kv_heads=2, normed_heads=False, epsilon=1e-5)


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
