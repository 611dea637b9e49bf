"""Requests laid out as arrays: an episode of an environment is one row of a bank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.rerank.pool import UNKNOWN_CODES
from fvrec.rl.beliefs import STYLE, Beliefs, Readings, plain_beliefs, stack
from fvrec.rl.reader import Reader
from fvrec.rl.requests import Request, RequestSource
from fvrec.schema import FIELDS

STATIC = ("relevance", "relevance_z", "plain_relevance", "tail", "centrality", "doubt")
"""The first columns of an observation: see ``Bank.columns``."""
Z_LIMIT = 10.0
BANK_SIZE, BANK_PAIRS = 1024, 10_000_000
"""Requests that an environment draws its episodes from, unless it is given a bank; fewer where pools are large."""


@dataclass(frozen=True)
class Bank:
    """``M`` requests over pools of one size ``N``, with what may be believed of them.

    ``seen [M, N, N]`` is the likeness that rankers are given; ``alike [M, N, N]`` the true one, the share of equal
    values among the fields that both items know. The truth is the judge's and is in no observation.
    """

    requests: tuple[Request, ...]
    readings: Readings
    beliefs: Beliefs

    @classmethod
    def of(cls, requests: Sequence[Request], reader: Reader | None = None) -> Bank:
        """The requests as ``reader`` reads them (None: taken at their word). FvrecError without requests."""
        if not requests:
            raise FvrecError("there are no requests")
        readings = stack([request.pool for request in requests])
        return cls(tuple(requests), readings, reader.believe(readings) if reader else plain_beliefs(readings))

    @classmethod
    def draw(cls, source: RequestSource, size: int, *, seed: int, reader: Reader | None = None) -> Bank:
        """``size`` requests of a source: the same seed gives the same bank."""
        rng = np.random.default_rng([seed, 11])
        return cls.of([source.sample(rng) for _ in range(size)], reader)

    def __len__(self) -> int:
        return len(self.requests)

    @property
    def pool_size(self) -> int:
        return int(self.beliefs.relevance.shape[1])

    @cached_property
    def seen(self) -> NDArray[np.float32]:
        return self.beliefs.similarity()

    @cached_property
    def columns(self) -> NDArray[np.float32]:
        """``[M, N, len(STATIC)]``: columns of an observation that an empty list has already."""
        relevance = self.beliefs.relevance
        spread = relevance.std(axis=1, keepdims=True)
        z = (relevance - relevance.mean(axis=1, keepdims=True)) / np.maximum(spread, 1e-6)
        z = np.where(spread > 1e-6, z, 0.0).clip(-Z_LIMIT, Z_LIMIT)
        parts = (relevance, z, self.beliefs.plain, self.beliefs.tail, self.seen.mean(axis=-1), self.beliefs.doubt)
        return np.stack(parts, axis=-1).astype(np.float32)

    @cached_property
    def true_relevance(self) -> NDArray[np.float32]:
        return np.stack([request.true_relevance for request in self.requests]).astype(np.float32)

    @cached_property
    def true_values(self) -> NDArray[np.int16]:
        return np.stack([request.true_values for request in self.requests])

    @cached_property
    def true_style(self) -> NDArray[np.int16]:
        """``[M, N]`` codes; the code of unknown where the truth is."""
        return np.ascontiguousarray(self.true_values[..., STYLE])

    @cached_property
    def long_tail(self) -> NDArray[np.float32]:
        return np.stack([request.long_tail for request in self.requests]).astype(np.float32)

    @cached_property
    def alike(self) -> NDArray[np.float32]:
        size = self.true_values.shape[:2]
        equal = np.zeros((*size, size[1]), dtype=np.float32)
        both = np.zeros_like(equal)
        for column in range(len(FIELDS)):
            codes = self.true_values[..., column]
            known = codes != UNKNOWN_CODES[column]
            pair = known[:, :, None] & known[:, None, :]
            both += pair
            equal += pair & (codes[:, :, None] == codes[:, None, :])
        return np.asarray(equal / np.maximum(both, 1.0), dtype=np.float32)


def as_bank(source: RequestSource | Bank) -> Bank:
    """A bank as it is; of any other source, up to ``BANK_SIZE`` requests drawn with seed 0."""
    if isinstance(source, Bank):
        return source
    return Bank.draw(source, max(16, min(BANK_SIZE, BANK_PAIRS // source.pool_size**2)), seed=0)
