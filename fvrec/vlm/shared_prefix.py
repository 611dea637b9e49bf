"""Attention over a prefix that all samples of a batch share, and over each sample's own tokens, in one softmax.

The prefix's keys and values are kept once, not once a sample: its scores are one matrix product over the queries of
the whole batch (Juravsky et al., 2024, "Hydragen", https://arxiv.org/abs/2402.05099). Exact: no term is left out.
The model's own layers run unchanged; this is the attention function that they call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface

NAME = "fvrec_shared_prefix"


@dataclass(frozen=True)
class Prefix:
    """``ids`` with their keys and values: a layer ``[kv_heads, P, head_dim]`` each."""

    ids: tuple[int, ...]
    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    def first(self, length: int) -> Prefix:
        """The first ``length`` tokens: what stands later in the text has no part in their keys and values."""
        return Prefix(
            self.ids[:length],
            tuple(keys[:, :length] for keys in self.keys),
            tuple(values[:, :length] for values in self.values),
        )


class OwnCache:
    """Keys and values of a batch's own tokens in buffers of fixed ``capacity``, in the form transformers' layers call.

    A forward pass writes from ``length`` on; the caller then keeps what it wrote by ``length += n`` or, by leaving
    ``length`` as it is, lets the next pass write over it.
    """

    def __init__(self, rows: int, capacity: int) -> None:
        self._rows, self._capacity = rows, capacity
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self.length = 0

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """``[B, kv_heads, L, head_dim]`` of the new tokens -> the same of all own tokens up to them."""
        if layer == len(self._keys):
            shape = (self._rows, keys.shape[1], self._capacity, keys.shape[3])
            self._keys.append(keys.new_empty(shape))
            self._values.append(values.new_empty(shape))
        end = self.length + keys.shape[2]
        self._keys[layer][:, :, self.length : end] = keys
        self._values[layer][:, :, self.length : end] = values
        return self._keys[layer][:, :, :end], self._values[layer][:, :, :end]

    def begin_with(self, prefix: Prefix) -> None:
        """Give every row a copy of a prefix."""
        for layer, (keys, values) in enumerate(zip(prefix.keys, prefix.values, strict=True)):
            self.update(keys.expand(self._rows, -1, -1, -1), values.expand(self._rows, -1, -1, -1), layer)
        self.length = len(prefix.ids)

    def get_seq_length(self, layer: int = 0) -> int:
        return self.length

    def as_prefix(self, ids: Sequence[int]) -> Prefix:
        """What one row holds, as a prefix for others."""
        end = len(ids)
        return Prefix(
            tuple(ids),
            tuple(keys[0, :, :end].contiguous() for keys in self._keys),
            tuple(values[0, :, :end].contiguous() for values in self._values),
        )


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    shared: Prefix | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """query ``[B, H, L, D]``, own key and value ``[B, kv_heads, S, D]``, mask bool ``[B or 1, 1, L, S]``."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if shared is None:
        gqa = query.shape[1] != key.shape[1]
        mixed = functional.scaled_dot_product_attention(query, key, value, attention_mask, scale=scale, enable_gqa=gqa)
    else:
        prefix = shared.keys[module.layer_idx], shared.values[module.layer_idx]
        mixed = _with_prefix(query, key, value, attention_mask, prefix, scale)
    return mixed.transpose(1, 2).contiguous(), None


def _with_prefix(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, prefix: tuple[Tensor, Tensor], scale: float
) -> Tensor:
    keys, values = prefix
    rows, _, length, width = query.shape
    kv_heads = key.shape[1]
    grouped = query.reshape(rows, kv_heads, -1, width)  # [B, kv_heads, G*L, D]: a group's queries share keys
    own = grouped @ key.transpose(2, 3)  # [B, kv_heads, G*L, S]
    if mask is not None:
        own = own.unflatten(2, (-1, length)).masked_fill(~mask.unsqueeze(1), float("-inf")).flatten(2, 3)
    together = grouped.transpose(0, 1).reshape(kv_heads, -1, width)  # the whole batch's queries, a row each
    common = (together @ keys.transpose(1, 2)).view(kv_heads, rows, -1, keys.shape[1]).transpose(0, 1)
    scores = torch.cat([common, own], dim=-1) * scale
    weights = functional.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype)
    on_prefix, on_own = weights.split([keys.shape[1], own.shape[-1]], dim=-1)
    from_prefix = on_prefix.transpose(0, 1).reshape(kv_heads, -1, keys.shape[1]) @ values
    return (from_prefix.view(kv_heads, rows, -1, width).transpose(0, 1) + on_own @ value).reshape(query.shape)


AttentionInterface.register(NAME, attend)
