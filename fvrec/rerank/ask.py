"""One question, one answer: text (and what a reference picture shows) in, an explained list out.

Nothing here knows where candidates come from: a store hands them over (``CandidateStore``), in a page a snapshot of the
warehouse, in a test a few rows. No torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.records import Item
from fvrec.rerank.constraints import Constraint, Constraints, Language, parse
from fvrec.rerank.explain import Statement, explain
from fvrec.rerank.notes import Note, notes_on
from fvrec.rerank.picture import remembering_origin, with_pictured
from fvrec.rerank.pool import Pool, Ranker
from fvrec.rerank.score import Judgement, ScoreWeights, judge, score, to_pool
from fvrec.rerank.search import search_text
from fvrec.rerank.shortlist import Shortlist, shortlist
from fvrec.rerank.table import Candidates, CandidateTable, table_of

POOL_SIZE = 100
"""How many of the best-scored candidates a ranker chooses from."""


class CandidateStore(Protocol):
    """Where candidates come from.

    ``candidates`` gives all that may be shown for a request, met constraints or not: scoring is not the store's affair,
    though a large one may leave out what has no chance. Hand over the same object while nothing has changed: what is
    computed on it (text index, value codes) is kept.
    """

    def candidates(self, constraints: Constraints) -> Candidates: ...


@runtime_checkable
class FilteringStore(CandidateStore, Protocol):
    """A store that filters by hard constraints itself (in SQL, say)."""

    def allowed(self, constraints: Constraints) -> NDArray[np.int64]:
        """Rows of ``candidates(constraints)`` that break no hard constraint, ascending; unknown breaks nothing."""
        ...


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
    ``claims``: what the explanation says, one a sentence.
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
    claims: tuple[Statement, ...] = ()


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
    pictured: Sequence[Constraint] = (),
    weights: ScoreWeights | None = None,
    pool_size: int = POOL_SIZE,
) -> Answer:
    """The ``k`` items that ``ranker`` puts first among the ``pool_size`` best scored, each with its reasons.

    text: one turn in Chinese or English; anything is allowed. standing: the ``constraints`` of the answer before, less
    those that the user struck (``Constraints.without``). language: of explanations and notes, by default the text's.
    reference: ``[D]`` embedding of a picture. pictured: soft wishes read from it (``picture.pictured_wishes``); they
    come back among the answer's constraints with origin ``picture`` and stand from then on like any other.

    Items that break a hard constraint only fill what others leave of the list, and stand behind them
    (``ScoreWeights.strict``).
    Fewer than ``k`` candidates give a shorter list and a note. Raises FvrecError for ``k`` below 1, without any
    candidate, and for a reference of another length than the items' embeddings.
    """
    if k < 1:
        raise FvrecError("the list length must be positive", where="k", found=k, allowed="1 or more")
    chosen_weights = weights or ScoreWeights()
    constraints = with_pictured(remembering_origin(parse(text, standing), standing), pictured)
    candidates = store.candidates(constraints)
    table = table_of(candidates)
    judgement = judge(table.values, constraints, table.confidence if chosen_weights.expected else None)
    base = table.base_score(search_text(text, constraints, table.text), reference, chosen_weights)
    scores = score(base, judgement, chosen_weights)
    best = shortlist(scores, _allowed(store, judgement, chosen_weights), k=k, size=pool_size)
    pool = _pool(table, best, scores, judgement, chosen_weights)
    picked = _picked(ranker, pool, best.kept, min(k, len(pool)))
    tongue = language or constraints.language
    ranked = tuple(
        _ranked(position, candidates, row, constraints, tongue, scores[row], pool.relevance[place])
        for position, (place, row) in enumerate(zip(picked, best.rows[picked].tolist(), strict=True), start=1)
    )
    blind = not constraints and reference is None and not base.any()
    notes = notes_on(constraints, judgement, chosen_weights, asked=k, shown=len(ranked), blind=blind, language=tongue)
    return Answer(constraints, tongue, ranker.name, ranked, notes, pool)


def _picked(ranker: Ranker, pool: Pool, kept: int, k: int) -> NDArray[np.int64]:
    """``[k]`` places in the pool: with fewer than ``k`` kept, all of them, then the ranker's choice of the rest."""
    if kept >= k or kept == 0:
        return ranker.rank(pool, k)
    places = np.arange(len(pool))
    rest = kept + ranker.rank(_part(pool, places[kept:]), k - kept)
    return np.concatenate([ranker.rank(_part(pool, places[:kept]), kept), rest])


def _part(pool: Pool, places: NDArray[np.int64]) -> Pool:
    ids = tuple(pool.item_ids[place] for place in places)
    confidence = None if pool.confidence is None else pool.confidence[places]
    return Pool(
        ids, pool.relevance[places], pool.embeddings[places], pool.values[places], pool.field_match[places], confidence
    )


def _allowed(store: CandidateStore, judgement: Judgement, weights: ScoreWeights) -> NDArray[np.int64]:
    """Rows of what may stand at the front of the list."""
    if not weights.strict:
        return np.arange(len(judgement.met), dtype=np.int64)
    if isinstance(store, FilteringStore):
        return store.allowed(judgement.constraints)
    return np.flatnonzero(judgement.breaks_none)


def _pool(
    table: CandidateTable, best: Shortlist, scores: NDArray[np.float64], judgement: Judgement, weights: ScoreWeights
) -> Pool:
    """What the ranker chooses from: nothing behind the first ``best.kept`` is more relevant than one of these."""
    pool = to_pool(
        [table.item_ids[row] for row in best.rows],
        table.values[best.rows],
        table.embeddings[best.rows],
        scores[best.rows],
        judgement.rows(best.rows),
        weights,
    )
    if not 0 < best.kept < len(pool):
        return pool
    relevance = pool.relevance.copy()
    relevance[best.kept :] = np.minimum(relevance[best.kept :], relevance[: best.kept].min())
    return replace(pool, relevance=relevance)


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
        claims=reason.claims,
    )


def _standing(attributes: Mapping[str, str], constraints: Sequence[Constraint]) -> dict[str, str]:
    standing: dict[str, str] = {}
    for constraint in constraints:
        outcome = constraint.outcome(attributes[constraint.field])
        standing[constraint.field] = outcome if standing.get(constraint.field, "met") == "met" else "conflict"
    return standing
