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
    CELLS,
    KNOWN,
    PLACES,
    STYLE,
    Beliefs,
    Readings,
    cells_of,
    expected_tail,
    one_hot,
    plain_beliefs,
    profile,
    stack,
    unit_vectors,
)
from fvrec.rl.items import ItemTable
from fvrec.rl.requests import Request
from fvrec.schema import FIELDS

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
        self.same = nn.Parameter(torch.tensor([[3.0, 1.0]]).repeat(len(FIELDS), 1))
        self.linear = nn.EmbeddingBag(CELLS, CELLS, mode="sum")
        self.bias = nn.Parameter(torch.zeros(CELLS))
        self.enter = nn.EmbeddingBag(CELLS, config.hidden, mode="sum")
        self.leave = nn.Sequential(nn.ReLU(), nn.Dropout(0.2), nn.Linear(config.hidden, CELLS))
        self.correct = nn.Sequential(
            nn.Linear(CLUES, config.hidden), nn.ReLU(), nn.Linear(config.hidden, config.hidden), nn.ReLU(),
            nn.Linear(config.hidden, 1),
        )  # fmt: skip
        nn.init.zeros_(self.linear.weight)
        nn.init.normal_(self.enter.weight, std=0.3)
        last = cast(nn.Linear, self.correct[-1])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.register_buffer("rare", torch.zeros(KNOWN))
        self.register_buffer("doubt", torch.tensor(0.1))

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
            np.ascontiguousarray(probabilities[..., PLACES[STYLE]]),
            unit_vectors(probabilities, known),
            np.full_like(relevance, float(self.get_buffer("doubt"))),
        )

    @torch.no_grad()
    def probabilities(
        self, values: NDArray[np.int16], confidence: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Of each known value ``[..., KNOWN]``, and of being known at all ``[..., 10]``."""
        if not self.config.denoise:
            known = (values != UNKNOWN_CODES).astype(np.float32)
            return one_hot(values), known.clip(_FLOOR, 1.0)
        flat = torch.from_numpy(cells_of(values)).flatten(0, -2), torch.from_numpy(confidence).flatten(0, -2)
        cells = self.denoise(*flat)
        found, known = torch.empty(len(cells), KNOWN), torch.empty(len(cells), len(FIELDS))
        for column, place in enumerate(PLACES):
            chances = self.field(cells, column).softmax(dim=-1)
            found[:, place], known[:, column] = chances[:, :-1], 1.0 - chances[:, -1]
        shape = values.shape[:-1]
        return found.numpy().reshape(*shape, KNOWN), known.numpy().reshape(values.shape).clip(_FLOOR, 1.0)

    def denoise(self, cells: Tensor, confidence: Tensor) -> Tensor:
        """Cells of the readings ``[R, 10]`` with confidences ``[R, 10]`` -> logits ``[R, CELLS]``."""
        sure = torch.logit(confidence.clamp(0.02, 0.98))
        own = self.same[:, 0] + self.same[:, 1] * sure
        weight = confidence + 0.2
        logits = self.linear(cells, per_sample_weights=weight) + self.bias
        logits = logits + self.leave(self.enter(cells, per_sample_weights=weight))
        return logits.scatter_add(1, cells, own)

    @staticmethod
    def field(logits: Tensor, column: int) -> Tensor:
        """Logits of one field's values, unknown last."""
        return torch.cat([logits[:, PLACES[column]], logits[:, KNOWN + column : KNOWN + column + 1]], dim=1)

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
    rare = [items.rare_values[column, : place.stop - place.start] for column, place in enumerate(PLACES)]
    reader.get_buffer("rare").copy_(torch.from_numpy(np.concatenate(rare).astype(np.float32)))
    if reader.config.denoise:
        _fit_denoiser(reader, items, seed)
    noisy = [request for request in requests if request.pool.confidence is not None]
    if noisy:
        _fit_relevance(reader, noisy, seed)
    return reader.eval()


def _fit_denoiser(reader: Reader, items: ItemTable, seed: int) -> None:
    order = np.random.default_rng([seed, 5]).permutation(len(items))
    held = max(1, len(items) // 5)
    cells = torch.from_numpy(cells_of(items.predicted_values))
    known = items.predicted_values != UNKNOWN_CODES
    confidence = torch.from_numpy(items.confidence * known)
    truth = torch.from_numpy(items.true_values.astype(np.int64))
    parts = [p for name, p in reader.named_parameters() if not name.startswith("correct")]
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
    logits = reader.denoise(cells, confidence)
    losses = [functional.cross_entropy(reader.field(logits, column), truth[:, column]) for column in range(len(FIELDS))]
    return torch.stack(losses).mean()


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
    match = (1.0 - known) * 0.5
    peaks = np.empty((len(table), 1, len(FIELDS)), dtype=np.float32)
    for column, place in enumerate(PLACES):
        match[..., column] += np.matmul(probabilities[..., place], table[:, place, None])[..., 0]
        peaks[:, 0, column] = table[:, place].std(axis=-1)
    peaks = np.broadcast_to(peaks, match.shape)
    lowest = np.broadcast_to((match * known).mean(axis=1, keepdims=True), match.shape)
    weight = known.sum(axis=-1)
    denoised = (match * known).sum(axis=-1) / np.maximum(weight, _FLOOR)
    centre = [readings.relevance, denoised, denoised - denoised.mean(axis=1, keepdims=True)]
    clues = np.concatenate(
        [match, known, peaks * 4.0, readings.field_match, lowest, np.stack(centre, axis=-1)], axis=-1
    )
    return clues.astype(np.float32), denoised.astype(np.float32)
