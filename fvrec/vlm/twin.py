"""A model's twin for decoding: the same weights and layers, with what decoding does not need left out.

On CPU, at our sizes, half the time of transformers' layers is spent outside matrix products. So the norms are one
reduction and two products instead of a detour through float32 copies; and of the last layer's MLP only the position
that predicts is computed, for nothing reads the others.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from fvrec.vlm.model import MiniMindVLM
from fvrec.vlm.shared_prefix import NAME


class Norm(nn.Module):
    """RMSNorm (Zhang & Sennrich, 2019) over the last dimension, its statistic in float32."""

    def __init__(self, weight: nn.Parameter, epsilon: float) -> None:
        super().__init__()
        self.weight = weight
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        scale = torch.rsqrt(length.square() / x.shape[-1] + self.epsilon)
        return x * scale.to(x.dtype) * self.weight


class LastLayer(nn.Module):
    """A decoder layer that gives only the last position on, unless ``every_position``. Its cache gets them all."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer: Any = layer

    def forward(self, hidden_states: Tensor, *, every_position: bool, **rest: Any) -> Tensor:
        attended, _ = self.layer.self_attn(hidden_states=self.layer.input_layernorm(hidden_states), **rest)
        hidden = hidden_states + attended
        if not every_position:
            hidden = hidden[:, -1:]
        mixed: Tensor = hidden + self.layer.mlp(self.layer.post_attention_layernorm(hidden))
        return mixed


def decoding_twin(model: MiniMindVLM, dtype: torch.dtype) -> MiniMindVLM:
    """In the model's own dtype the twin shares its weights; in another it holds a copy of them."""
    same = next(model.parameters()).dtype == dtype
    shared: dict[int, Any] = {id(weight): weight for weight in model.parameters()} if same else {}
    twin = deepcopy(model, shared).eval()
    if not same:
        twin.to(dtype).requires_grad_(False)
    twin.llm.set_attn_implementation(NAME)
    for parent in list(twin.llm.modules()):
        for name, child in list(parent.named_children()):
            if hasattr(child, "variance_epsilon"):  # transformers' RMSNorms of every family
                setattr(parent, name, Norm(child.weight, child.variance_epsilon))
    layers = twin.llm.model.layers
    layers[-1] = LastLayer(layers[-1])
    return twin
