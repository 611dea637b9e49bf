"""MiniMind and MiniMind-V written in plain torch from the published architecture, not from transformers' classes.

https://github.com/jingyaogong/minimind and https://github.com/jingyaogong/minimind-v.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

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
        return self.logits_of(state, state[EMBEDDING][ids])

    def logits_of(self, state: State, stream: Tensor) -> Tensor:
        """The same from what stands at each position, ``[B, L, H]``: words, or an image's projected cells."""
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


def seen(state: State, ids: Tensor, mark: int, patches: Tensor) -> Tensor:
    """``[B, L, H]``: MiniMind-V's input. Each run of ``mark`` (one image a row) gives way to the projected patches.

    patches: ``[B, T, D]``. minimind-v: one linear map. minimind-3v: LayerNorm, linear map, GELU, linear map.
    """
    if "vision_proj.vision_proj.0.weight" in state:
        projected = patches @ state["vision_proj.vision_proj.0.weight"].T + state["vision_proj.vision_proj.0.bias"]
    else:
        own = {name.removeprefix("vision_proj.mlp."): tensor for name, tensor in state.items()}
        centred = patches - patches.mean(dim=-1, keepdim=True)
        normed = centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt() * own["0.weight"] + own["0.bias"]
        hidden = normed @ own["1.weight"].T + own["1.bias"]
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
        projected = hidden @ own["3.weight"].T + own["3.bias"]
    rows = []
    for row, image in zip(ids.tolist(), projected, strict=True):
        start = row.index(mark)
        end = start + len(image)
        assert row[start:end] == [mark] * len(image)
        words = state[EMBEDDING][torch.tensor(row)]
        rows.append(torch.cat([words[:start], image, words[end:]]))
    return torch.stack(rows)


def projector_state(kind: str, width: int, hidden: int, seed: int = 5) -> State:
    """A random projector under its published names."""
    generator = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]]
    if kind == "linear":
        shapes = {"vision_proj.0.weight": (hidden, width), "vision_proj.0.bias": (hidden,)}
    else:
        shapes = {"mlp.0.weight": (width,), "mlp.0.bias": (width,), "mlp.1.weight": (hidden, width),
                  "mlp.1.bias": (hidden,), "mlp.3.weight": (hidden, hidden), "mlp.3.bias": (hidden,)}  # fmt: skip
    return {
        f"vision_proj.{name}": torch.randn(shape, generator=generator) * (0.5 if len(shape) == 1 else shape[-1] ** -0.5)
        for name, shape in shapes.items()
    }
