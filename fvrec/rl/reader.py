"""A learned reading of a noisy pool: which values an item truly has, and how relevant it truly is to the user.

Two small supervised networks, fitted on training items and training users: the denoiser gives, from all ten readings
and their confidences together, a distribution over each field's true value; the relevance network corrects the
relevance that follows from these. Baselines with the word *supervised* and *denoised* and the policy share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fvrec.rerank.pool import UNKNOWN_CODES, Pool
from fvrec.rl.beliefs import (
    STYLE,
    STYLES,
    Beliefs,
    Readings,
    expected_tail,
    one_hot,
    plain_beliefs,
    profile,
    stack,
    unit_vectors,
)
from fvrec.rl.items import VALUE_SLOTS, ItemTable
from fvrec.rl.requests import Request
from fvrec.schema import FIELDS

CELLS = len(FIELDS) * VALUE_SLOTS
CLUES = 5 * len(FIELDS) + 3
"""Columns that the relevance network sees of a candidate."""
_FLOOR = 1e-9


@dataclass(frozen=True)
class ReaderConfig:
    """Sizes and length of the two fits; ``denoise`` False leaves the values as they were read."""

    hidden: int = 48
    item_epochs: int = 250
    request_epochs: int = 30
    learning_rate: float = 4e-3
    denoise: bool = True


class Reader(nn.Module):
    """See the module. On pools without confidences it changes nothing: they are taken at their word."""

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        self.config = config
        self.same = nn.Parameter(torch.full((len(FIELDS), 2), 1.0))
        self.linear = nn.Linear(CELLS + len(FIELDS), CELLS)
        self.deep = nn.Sequential(
            nn.Linear(CELLS + len(FIELDS), config.hidden), nn.ReLU(), nn.Dropout(0.2), nn.Linear(config.hidden, CELLS)
        )
        self.correct = nn.Sequential(
            nn.Linear(CLUES, config.hidden), nn.ReLU(), nn.Linear(config.hidden, config.hidden), nn.ReLU(),
            nn.Linear(config.hidden, 1),
        )  # fmt: skip
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.correct[-1].weight)
        nn.init.zeros_(self.correct[-1].bias)
        self.register_buffer("rare", torch.zeros(len(FIELDS), VALUE_SLOTS))
        self.register_buffer("doubt", torch.tensor(0.1))
        allowed = np.arange(VALUE_SLOTS) <= UNKNOWN_CODES[:, None]
        self.register_buffer("allowed", torch.from_numpy(allowed), persistent=False)

    def read(self, pools: Sequence[Pool]) -> Beliefs:
        """Beliefs of pools of one size and kind."""
        return self.believe(stack(pools))

    @torch.no_grad()
    def believe(self, readings: Readings) -> Beliefs:
        """As ``read``, from pools that are stacked already."""
        rare = self.get_buffer("rare").numpy()
        if not readings.noisy:
            return plain_beliefs(readings, rare)
        training = self.training
        self.eval()
        probabilities, known = self.probabilities(readings.values, readings.confidence)
        clues, denoised = _clues(readings, probabilities, known)
        relevance = self.relevance(torch.from_numpy(clues), torch.from_numpy(denoised)).numpy().clip(0.0, 1.0)
        self.train(training)
        return Beliefs(
            relevance,
            readings.relevance,
            expected_tail(probabilities, known, rare),
            np.ascontiguousarray(probabilities[:, :, STYLE, :STYLES]),
            unit_vectors(probabilities, known),
            np.full_like(relevance, float(self.get_buffer("doubt"))),
        )

    @torch.no_grad()
    def probabilities(
        self, values: NDArray[np.int16], confidence: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Of each known value ``[..., 10, VALUE_SLOTS]``, and of being known at all ``[..., 10]``."""
        cells = one_hot(values)
        if self.config.denoise:
            flat = torch.from_numpy(cells).flatten(0, -3), torch.from_numpy(confidence).flatten(0, -2)
            cells = self.denoise(*flat).softmax(dim=-1).numpy().reshape(cells.shape)
            cells[..., np.arange(len(FIELDS)), UNKNOWN_CODES] = 0.0
        return cells, cells.sum(axis=-1).clip(_FLOOR, 1.0)

    def denoise(self, cells: Tensor, confidence: Tensor) -> Tensor:
        """Readings ``[R, 10, VALUE_SLOTS]`` with confidences ``[R, 10]`` -> logits ``[R, 10, VALUE_SLOTS]``."""
        sure = torch.logit(confidence.clamp(0.02, 0.98)).unsqueeze(-1)
        own = cells * (self.same[:, :1] * 3.0 + self.same[:, 1:] * sure)
        seen = torch.cat([(cells * confidence.unsqueeze(-1)).flatten(1), confidence], dim=1)
        logits = own + (self.linear(seen) + self.deep(seen)).view_as(cells)
        return logits.masked_fill(~self.get_buffer("allowed"), -1e4)

    def relevance(self, clues: Tensor, denoised: Tensor) -> Tensor:
        """``[B, N]``: the denoised relevance and its learned correction."""
        return denoised + cast(Tensor, self.correct(clues)).squeeze(-1)


@dataclass
class _Best:
    loss: float = float("inf")
    state: dict[str, Tensor] = field(default_factory=dict)

    def note(self, loss: float, module: nn.Module) -> None:
        if loss < self.loss:
            self.loss = loss
            self.state = {name: value.clone() for name, value in module.state_dict().items()}


def fit_reader(
    items: ItemTable, requests: Sequence[Request], *, seed: int, config: ReaderConfig | None = None
) -> Reader:
    """Fit on training items and on requests of training users over them; a fifth of each stops the fit early.

    Requests whose pools carry no confidence teach nothing. Draws from torch's global stream: isolate it outside.
    """
    torch.manual_seed(seed)
    reader = Reader(config or ReaderConfig())
    reader.get_buffer("rare").copy_(torch.from_numpy(items.rare_values.astype(np.float32)))
    if reader.config.denoise:
        _fit_denoiser(reader, items, seed)
    noisy = [request for request in requests if request.pool.confidence is not None]
    if noisy:
        _fit_relevance(reader, noisy, seed)
    return reader.eval()


def _fit_denoiser(reader: Reader, items: ItemTable, seed: int) -> None:
    order = np.random.default_rng([seed, 5]).permutation(len(items))
    held = max(1, len(items) // 5)
    cells = torch.from_numpy(one_hot(items.predicted_values))
    known = items.predicted_values != UNKNOWN_CODES
    confidence = torch.from_numpy(items.confidence * known)
    truth = torch.from_numpy(items.true_values.astype(np.int64))
    parts = [reader.same, *reader.linear.parameters(), *reader.deep.parameters()]
    optimizer = torch.optim.AdamW(parts, lr=reader.config.learning_rate, weight_decay=0.05)
    best = _Best()
    rng = np.random.default_rng([seed, 6])
    fit = order[held:] if len(items) > held else order
    for _ in range(reader.config.item_epochs):
        rows = torch.from_numpy(rng.choice(fit, size=min(len(fit), 512), replace=False))
        reader.train()
        loss = _cross_entropy(reader, cells[rows], confidence[rows], truth[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        reader.eval()
        with torch.no_grad():
            rows = torch.from_numpy(order[:held])
            best.note(float(_cross_entropy(reader, cells[rows], confidence[rows], truth[rows])), reader)
    reader.load_state_dict(best.state)


def _cross_entropy(reader: Reader, cells: Tensor, confidence: Tensor, truth: Tensor) -> Tensor:
    return functional.cross_entropy(reader.denoise(cells, confidence).flatten(0, 1), truth.flatten())


def _fit_relevance(reader: Reader, requests: Sequence[Request], seed: int) -> None:
    readings = stack([request.pool for request in requests])
    reader.eval()
    made = _clues(readings, *reader.probabilities(readings.values, readings.confidence))
    clues, denoised = (torch.from_numpy(part) for part in made)
    truth = torch.from_numpy(np.stack([request.true_relevance for request in requests]))
    users = np.array([request.user_id for request in requests])
    held_users = np.unique(users)[:: max(2, min(5, len(np.unique(users))))]
    held = torch.from_numpy(np.isin(users, held_users))
    if bool(held.all()):
        held = torch.zeros_like(held)
    fit = torch.nonzero(~held).squeeze(-1).numpy()
    test = held if bool(held.any()) else ~held
    optimizer = torch.optim.AdamW(reader.correct.parameters(), lr=reader.config.learning_rate, weight_decay=0.01)
    best, rng = _Best(), np.random.default_rng([seed, 7])
    for _ in range(reader.config.request_epochs):
        for rows in np.array_split(rng.permutation(fit), max(1, len(fit) // 32)):
            chosen = torch.from_numpy(rows)
            loss = functional.mse_loss(reader.relevance(clues[chosen], denoised[chosen]), truth[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            best.note(float(functional.mse_loss(reader.relevance(clues[test], denoised[test]), truth[test])), reader)
    reader.load_state_dict(best.state)
    reader.get_buffer("doubt").fill_(max(best.loss, 1e-6) ** 0.5)


def _clues(
    readings: Readings, probabilities: NDArray[np.float32], known: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Columns for the relevance network ``[B, N, CLUES]``, and the denoised relevance ``[B, N]`` that it corrects."""
    table = profile(readings)
    match = np.einsum("bnfv,bfv->bnf", probabilities, table, optimize=True) + (1.0 - known) * 0.5
    peaks = np.broadcast_to(table.std(axis=-1)[:, None], match.shape)
    lowest = np.broadcast_to((match * known).mean(axis=1, keepdims=True), match.shape)
    weight = known.sum(axis=-1)
    denoised = (match * known).sum(axis=-1) / np.maximum(weight, _FLOOR)
    centre = [readings.relevance, denoised, denoised - denoised.mean(axis=1, keepdims=True)]
    clues = np.concatenate(
        [match, known, peaks * 4.0, readings.field_match, lowest, np.stack(centre, axis=-1)], axis=-1
    )
    return clues.astype(np.float32), denoised.astype(np.float32)
