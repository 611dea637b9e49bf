"""One question, one answer: text (and a reference picture's embedding) in, an explained list out.

Nothing here knows where candidates come from: a store hands them over (``CandidateStore``), in a page a snapshot of the
warehouse, in a test a few rows. No torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.records import Item
from fvrec.rerank.constraints import Constraint, Constraints, Language, parse
from fvrec.rerank.explain import explain
from fvrec.rerank.notes import Note, notes_on
from fvrec.rerank.pool import Pool, Ranker
from fvrec.rerank.score import ScoreWeights, judge, score, to_pool
from fvrec.rerank.table import Candidates, table_of

POOL_SIZE = 100
"""How many of the best-scored candidates a ranker chooses from."""


class CandidateStore(Protocol):
    """Where candidates come from.

    ``candidates`` gives all that may be shown for a request, met constraints or not: scoring is not the store's affair,
    though a large one may leave out what has no chance. Hand over the same object while nothing has changed: what is
    computed on it (text index, value codes) is kept.
    """

    def candidates(self, constraints: Constraints) -> Candidates: ...


@dataclass(frozen=True)
class FixedStore:
    """A store that always offers the same candidates."""

    everything: Candidates

    def candidates(self, constraints: Constraints) -> Candidates:
        """All of them."""
        return self.everything


@dataclass(frozen=True)
class RankedItem:
    """One position of the list, counted from 1.

    ``matched``, ``conflicting``, ``unknown``: fields of the request by how the item's predicted value stands to them (a
    field with both a wish and an exclusion stands where the worse of them stands). ``evidence``: field -> cited value.
    """

    position: int
    item: Item
    score: float
    relevance: float
    attributes: Mapping[str, str]
    confidence: Mapping[str, float]
    matched: tuple[str, ...]
    conflicting: tuple[str, ...]
    unknown: tuple[str, ...]
    explanation: str
    evidence: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """The list, and what was understood. ``pool``: what the ranker chose from; ``notes``: for the user."""

    constraints: Constraints
    language: Language
    strategy: str
    ranked: tuple[RankedItem, ...]
    notes: tuple[Note, ...]
    pool: Pool


def ask(
    store: CandidateStore,
    text: str,
    *,
    ranker: Ranker,
    k: int = 10,
    standing: Constraints | None = None,
    language: Language | None = None,
    reference: NDArray[np.floating] | None = None,
    weights: ScoreWeights | None = None,
    pool_size: int = POOL_SIZE,
) -> Answer:
    """The ``k`` items that ``ranker`` puts first among the ``pool_size`` best scored, each with its reasons.

    text: one turn in Chinese or English; anything is allowed. standing: the ``constraints`` of the answer before.
    language: of explanations and notes, by default the text's. reference: ``[D]`` embedding of a picture.
    Fewer than ``k`` candidates give a shorter list and a note. Raises FvrecError for ``k`` below 1, without any
    candidate, and for a reference of another length than the items' embeddings.
    """
    if k < 1:
        raise FvrecError("the list length must be positive", where="k", found=k, allowed="1 or more")
    chosen_weights = weights or ScoreWeights()
    constraints = parse(text, standing)
    table = table_of(store.candidates(constraints))
    judgement = judge(table.values, constraints)
    scores = score(
        table.base_score(_search_text(text, constraints), reference, chosen_weights), judgement, chosen_weights
    )
    best = np.argsort(-scores, kind="stable")[: max(pool_size, k)]
    pool = to_pool(
        [table.item_ids[row] for row in best],
        table.values[best],
        table.embeddings[best],
        scores[best],
        judgement.rows(best),
        chosen_weights,
    )
    picked = ranker.rank(pool, min(k, len(pool)))
    tongue = language or constraints.language
    ranked = tuple(
        _ranked(position, table.candidates, int(best[row]), constraints, tongue, scores[best[row]], pool.relevance[row])
        for position, row in enumerate(picked, start=1)
    )
    notes = notes_on(constraints, judgement, chosen_weights, asked=k, shown=len(ranked), language=tongue)
    return Answer(constraints, tongue, ranker.name, ranked, notes, pool)


def _search_text(text: str, constraints: Constraints) -> str:
    """The turn's own words and those of the wishes that stand from turns before."""
    standing = [word for c in constraints.constraints if not c.excluded for word in c.words if word not in text]
    return " ".join([text, *standing])


def _ranked(
    position: int,
    candidates: Candidates,
    row: int,
    constraints: Constraints,
    language: Language,
    score: float,
    relevance: float,
) -> RankedItem:
    attributes, confidence = candidates.attributes[row], candidates.confidence[row]
    reason = explain(attributes, confidence, constraints, language)
    standing = _standing(attributes, constraints.constraints)
    return RankedItem(
        position=position,
        item=candidates.items[row],
        score=float(score),
        relevance=float(relevance),
        attributes=attributes,
        confidence=confidence,
        matched=tuple(field for field, outcome in standing.items() if outcome == "met"),
        conflicting=tuple(field for field, outcome in standing.items() if outcome == "conflict"),
        unknown=tuple(field for field, outcome in standing.items() if outcome == "unknown"),
        explanation=reason.text,
        evidence=reason.evidence,
    )


def _standing(attributes: Mapping[str, str], constraints: Sequence[Constraint]) -> dict[str, str]:
    standing: dict[str, str] = {}
    for constraint in constraints:
        outcome = constraint.outcome(attributes[constraint.field])
        standing[constraint.field] = outcome if standing.get(constraint.field, "met") == "met" else "conflict"
    return standing
