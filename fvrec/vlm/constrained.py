"""Constrained decoding: every value is walked down its field's token trie, and everything else is fed, not generated.

The constant prompt is read once (``Prefix``); each batch then costs one pass over its titles and image features and,
a field, one pass over the tokens that are already certain: the value just chosen with the forced text behind it. A
field whose trie parts below its root takes one more pass, over the trie's inner tokens as a tree (Miao et al., 2024,
"SpecInfer", https://arxiv.org/abs/2305.09781): that scores all its values at once.

The chosen values are those of a token-by-token greedy decode that masks every token which the enum forbids; in
float32 they are equal but for ties within rounding. In bfloat16 close calls may fall differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fvrec.vlm.collate import pad
from fvrec.vlm.grammar import AnswerGrammar
from fvrec.vlm.model import MiniMindVLM
from fvrec.vlm.shared_prefix import OwnCache, Prefix
from fvrec.vlm.trie import FieldTrie
from fvrec.vlm.twin import decoding_twin

SHORT_PREFIX = 16
"""So few shared tokens are cheaper kept with each sample's own."""


@dataclass(frozen=True, eq=False)
class DecodedField:
    """One field of a batch: ``log_probs`` ``[B, n_values]`` float32, ``greedy`` ``[B]`` indices of the values."""

    log_probs: NDArray[np.float32]
    greedy: NDArray[np.int64]


class ConstrainedDecoder:
    """A model with a grammar. ``prefix_ids``: what (nearly) all prompts begin with; less shared is right, only slower.

    ``dtype``: of the weights while decoding; in another than the model's own they are copied.
    """

    def __init__(
        self,
        model: MiniMindVLM,
        grammar: AnswerGrammar,
        *,
        pad_id: int,
        prefix_ids: Sequence[int] = (),
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.grammar = grammar
        self._pad_id = pad_id
        self._model = decoding_twin(model, dtype)
        self._prefix = self._read_prefix(prefix_ids)

    @torch.inference_mode()
    def decode(self, prompts: Sequence[Sequence[int]], features: Tensor | None) -> dict[str, DecodedField]:
        """field -> its readings of the B prompts. ``features``: ``[I, T, D]`` of the images in them, in batch order."""
        shared = self._prefix.first(_shared_length(self._prefix.ids, prompts))
        own = [[*prompt[len(shared.ids) :], *self.grammar.opening] for prompt in prompts]
        batch = _Batch(self._model, shared, max(map(len, own)) + self.grammar.longest + self._widest_tree, len(own))
        hidden = batch.feed(own, self._pad_id, features)
        decoded: dict[str, DecodedField] = {}
        fields = list(self.grammar.tries)
        for field, trie in self.grammar.tries.items():
            decoded[field] = self._choose(trie, hidden, batch)
            if field != fields[-1]:
                chosen = [trie.sequences[index] for index in decoded[field].greedy.tolist()]
                hidden = batch.feed(chosen, self._pad_id)
        return decoded

    @property
    def _widest_tree(self) -> int:
        return max(len(trie.nodes) for trie in self.grammar.tries.values())

    def _read_prefix(self, ids: Sequence[int]) -> Prefix:
        if not ids:
            return Prefix((), (), ())
        with torch.inference_mode():
            alone = _Batch(self._model, Prefix((), (), ()), len(ids), 1)
            alone.feed([list(ids)], self._pad_id)
            return alone.cache.as_prefix(ids)

    def _choose(self, trie: FieldTrie, hidden: Tensor, batch: _Batch) -> DecodedField:
        """hidden: ``[B, H]`` at the token before the value."""
        rows = hidden.shape[0]
        if not trie.branches:
            return DecodedField(np.zeros((rows, 1), dtype=np.float32), np.zeros(rows, dtype=np.int64))
        inner = batch.look_ahead(trie) if trie.nodes else None
        logits = [
            self._logits(hidden if branch.node < 0 or inner is None else inner[:, branch.node], branch.tokens)
            for branch in trie.branches
        ]
        greedy = _walk(trie, [scores.argmax(dim=1).cpu().numpy() for scores in logits])
        columns = torch.cat(
            [*(functional.log_softmax(scores, dim=1).cpu() for scores in logits), torch.zeros(rows, 1)], dim=1
        )
        return DecodedField(columns[:, torch.from_numpy(trie.steps)].sum(dim=2).numpy(), greedy)

    def _logits(self, hidden: Tensor, tokens: tuple[int, ...]) -> Tensor:
        """``[B, H]`` -> ``[B, len(tokens)]`` float32: only the rows of the output layer that the grammar allows."""
        head = self._model.llm.lm_head
        bias = None if head.bias is None else head.bias[list(tokens)]
        return functional.linear(hidden, head.weight[list(tokens)], bias).float()


class _Batch:
    """A batch on its way through the answer: its cache, which of its positions hold something, and how long each is."""

    def __init__(self, model: MiniMindVLM, shared: Prefix, capacity: int, rows: int) -> None:
        self._model = model
        self._device = model.device
        self._shared = shared if len(shared.ids) > SHORT_PREFIX else None
        copied = 0 if self._shared else len(shared.ids)
        self.cache = OwnCache(rows, capacity + copied)
        self._filled = torch.zeros(rows, capacity + copied, dtype=torch.bool, device=self._device)
        self._lengths = torch.full((rows, 1), len(shared.ids), device=self._device)
        if copied:
            self.cache.begin_with(shared)
            self._filled[:, :copied] = True

    def feed(self, rows: Sequence[Sequence[int]], pad_id: int, features: Tensor | None = None) -> Tensor:
        """Append each row's ids (padded on the left); ``[B, H]`` at each row's last one."""
        ids = pad(rows, pad_id, "left").to(self._device)
        width = ids.shape[1]
        counts = torch.tensor([[len(row)] for row in rows], device=self._device)
        column = torch.arange(width, device=self._device)
        real = column >= width - counts  # [B, L]
        start, end = self.cache.length, self.cache.length + width
        self._filled[:, start:end] = real
        seen = self._filled[:, None, :end] & (torch.arange(end, device=self._device) <= (start + column)[:, None])
        # A pad sees itself: a row of the softmax with nothing in it would be no number and spread.
        seen[:, column, start + column] = True
        positions = (self._lengths + column - (width - counts)).clamp_min(0)
        hidden = self._forward(ids, features, seen, positions, every_position=False)
        self.cache.length = end
        self._lengths = self._lengths + counts
        return hidden[:, -1]

    def look_ahead(self, trie: FieldTrie) -> Tensor:
        """``[B, M, H]`` at the trie's inner tokens, each seeing its own path alone. Nothing is kept of it."""
        rows, start = self._filled.shape[0], self.cache.length
        ids = torch.tensor(trie.nodes, device=self._device).expand(rows, -1)
        tree = torch.from_numpy(trie.ancestry).to(self._device).expand(rows, -1, -1)
        before = self._filled[:, None, :start].expand(-1, len(trie.nodes), -1)
        seen = torch.cat([before, tree], dim=2)
        positions = self._lengths + torch.from_numpy(trie.depths).to(self._device)
        return self._forward(ids, None, seen, positions, every_position=True)

    def _forward(
        self, ids: Tensor, features: Tensor | None, seen: Tensor, positions: Tensor, *, every_position: bool
    ) -> Tensor:
        hidden: Tensor = self._model.llm.model(
            inputs_embeds=self._model.embed(ids, features),
            attention_mask=seen.unsqueeze(1),
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            shared=self._shared,
            every_position=every_position,
        ).last_hidden_state
        return hidden


def _shared_length(prefix: Sequence[int], prompts: Sequence[Sequence[int]]) -> int:
    """How many leading ids all prompts have in common with the prefix."""
    length = min(len(prefix), *(len(prompt) for prompt in prompts))
    for prompt in prompts:
        while list(prompt[:length]) != list(prefix[:length]):
            length -= 1
    return length


def _walk(trie: FieldTrie, picks: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """picks: for each branch, ``[B]`` positions of its best token. -> ``[B]`` value indices."""
    rows = len(picks[0])
    at = np.zeros(rows, dtype=np.int64)
    while (at >= 0).any():
        for row in np.flatnonzero(at >= 0):
            branch = int(at[row])
            at[row] = trie.branches[branch].targets[int(picks[branch][row])]
    return -1 - at
