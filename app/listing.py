"""What a visitor asks for, and the list that answers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.rankers import DIVERSITY
from fvrec.records import Prediction

if TYPE_CHECKING:
    from fvrec.rerank.ask import Answer, RankedItem
    from fvrec.rerank.constraints import Constraints, Language
    from fvrec.rerank.pool import Pool


@dataclass(frozen=True)
class Query:
    """What a visitor asks for. ``picture``: bytes of an uploaded reference picture; ``language``: None = the text's.

    standing: the constraints of the answer before, less those that the visitor struck. struck: fields of which the
    picture has no say, struck from what was read of it. diversity: the slider, in [0, 1], 0 = relevance alone.
    """

    source: str
    text: str = ""
    model: str = "lora"
    strategy: str = "base_rank"
    k: int = 10
    picture: bytes | None = None
    language: Language | None = None
    standing: Constraints | None = None
    struck: tuple[str, ...] = ()
    diversity: float = DIVERSITY


@dataclass(frozen=True)
class ListQuality:
    """ild: mean pairwise cosine distance, None without embeddings; coverage: share of reachable attribute values."""

    ild: float | None
    coverage: float


@dataclass(frozen=True)
class Card:
    """One position of the list with what the model wrote on the item."""

    ranked: RankedItem
    prediction: Prediction


@dataclass(frozen=True)
class Listing:
    """An answered query. ``base``: the quality of the list that Base makes of the same pool, to compare with.

    readable, candidates: how many items were there to choose from, and for how many of them the model's answer was
    valid. preset: of the run that read them.
    """

    answer: Answer
    cards: tuple[Card, ...]
    quality: ListQuality
    base: ListQuality
    candidates: int
    readable: int
    preset: str


def qualities(answer: Answer) -> tuple[ListQuality, ListQuality]:
    """Of the list shown, and of the list that Base makes of the same pool."""
    from fvrec.rerank.diversify import BaseRank

    places = {item_id: row for row, item_id in enumerate(answer.pool.item_ids)}
    shown = [places[ranked.item.item_id] for ranked in answer.ranked]
    return _quality(answer.pool, shown), _quality(answer.pool, BaseRank().rank(answer.pool, len(shown)))


def _quality(pool: Pool, shown: Sequence[int] | NDArray[np.int64]) -> ListQuality:
    from fvrec.rerank.metrics import coverage, ild

    k = len(shown)
    distance = ild(pool.embeddings[shown], k) if pool.embeddings.shape[1] else None
    return ListQuality(distance, coverage(pool.values[shown], k, pool.values))
