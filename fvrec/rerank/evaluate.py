"""Base order against constraint rerank on generated queries, judged by predicted and by true attributes.

Protocol, for every query: ``sample`` candidates drawn uniformly without replacement from the held-out items (all of
them when there are fewer), the item that the query was made from among them, in random order; how many others match is
left to chance. The ranker sees the text, the titles and the predicted attributes. ``base_rank`` orders by text
similarity alone, ``rerank`` by ``base + alpha * match - beta * conflict`` on the constraints that the parser read;
``ceiling``, for satisfaction by true attributes alone, orders by the truth: no ranker can do better on that sample.
Lists are judged by the constraints that the query was made with, on fields that the source supervises and by labels
that the source gave (a rule's label comes from the title, which the ranker sees).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError, SanityError
from fvrec.records import Metric, Ranking
from fvrec.rerank.constraints import Constraints, parse
from fvrec.rerank.explain import Explanation, explain, verify
from fvrec.rerank.labels import source_labels
from fvrec.rerank.metrics import constraint_satisfaction, explanation_faithfulness, ndcg, satisfied_share
from fvrec.rerank.queries import EvalQuery
from fvrec.rerank.score import ScoreWeights, judge, score
from fvrec.rerank.summary import MetricContext, QueryResult, summarise
from fvrec.rerank.table import Candidates, CandidateTable
from fvrec.schema import UNKNOWN

LIST_LENGTH = 10
KS = (5, 10, 20)
SANITY_SAMPLES = 30


@dataclass(frozen=True)
class RerankEvaluation:
    """``metrics``: rows of stage ``rerank``. ``rankings``: the first 10 of each query's ``base_rank`` and ``rerank``.

    A ranking's evidence holds what its explanation cites, and the query's text under ``request``.
    """

    metrics: list[Metric]
    rankings: list[Ranking]
    queries: Sequence[EvalQuery] = field(repr=False, default=())


def evaluate(
    queries: Sequence[EvalQuery],
    candidates: Candidates,
    *,
    supervised: Sequence[str],
    context: MetricContext,
    seed: int,
    weights: ScoreWeights | None = None,
    sample: int = 100,
) -> RerankEvaluation:
    """Run the module's protocol. ``candidates``: the held-out items with one model's predictions.

    Raises FvrecError without queries and when a query's item is not among the candidates. Same input and seed, same
    result.
    """
    if not queries:
        raise FvrecError("there are no queries to evaluate on")
    judge_ = _Judge(candidates, frozenset(supervised), weights or ScoreWeights())
    rng = np.random.default_rng(seed)
    results: list[QueryResult] = []
    rankings: list[Ranking] = []
    for query in queries:
        rows = judge_.sample(query, sample, rng)
        result, lists = judge_.run(query, rows)
        results.append(result)
        rankings += lists
    return RerankEvaluation(summarise(results, context, seed=seed), rankings, queries)


def check(evaluation: RerankEvaluation, candidates: Candidates, *, seed: int) -> None:
    """SanityError unless 30 sampled positions carry a faithful explanation and the lists are not all one list.

    Faithful to the item's JSON and to the request: a wish that nobody made is a false claim.
    """
    attributes = dict(zip(candidates.item_ids, candidates.attributes, strict=True))
    rankings = evaluation.rankings
    picked = np.random.default_rng(seed).permutation(len(rankings))[:SANITY_SAMPLES]
    for row in (rankings[at] for at in picked):
        verdict = verify(row.explanation, attributes[row.item_id], constraints=parse(row.evidence["request"]))
        if not verdict.faithful:
            found = [claim.problem for claim in verdict.hallucinated] or "no claim"
            raise SanityError("an explanation is not faithful", where=f"{row.query_id} {row.item_id}", found=found)
    first = {row.item_id for row in rankings if row.strategy == "rerank" and row.position == 1}
    if len(first) < 2 <= len(evaluation.queries) and len(candidates.item_ids) > 1:
        raise SanityError("every reranked list starts with the same item", found=sorted(first))


class _Judge:
    """Ranks and judges one query at a time over fixed candidates."""

    def __init__(self, candidates: Candidates, supervised: frozenset[str], weights: ScoreWeights) -> None:
        self._table = CandidateTable(candidates)
        self._candidates = candidates
        self._supervised = supervised
        self._weights = weights
        self._rows = {item_id: row for row, item_id in enumerate(self._table.item_ids)}
        self._truth = [
            {name: value for name, value in source_labels(item).items() if name in supervised}
            for item in candidates.items
        ]

    def sample(self, query: EvalQuery, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Rows of the candidates of one query, in random order."""
        target = self._rows.get(query.item_id)
        if target is None:
            raise FvrecError("a query's item is not among the candidates", where=query.query_id, found=query.item_id)
        others = rng.permutation(len(self._rows))
        others = others[others != target][: max(size - 1, 0)]
        return rng.permutation(np.append(others, target))

    def run(self, query: EvalQuery, rows: NDArray[np.int64]) -> tuple[QueryResult, list[Ranking]]:
        """Both lists of one query, judged."""
        parsed = parse(query.text)
        base = self._table.base_score(query.text, None, self._weights)[rows]
        scores = score(base, judge(self._table.values[rows], parsed), self._weights)
        wanted = {name: values for name, values in query.expected.wanted.items() if name in self._supervised}
        excluded = {name: values for name, values in query.expected.excluded.items() if name in self._supervised}
        expected = Constraints.of(wanted, excluded, query.language)
        gains = np.nan_to_num(np.array([satisfied_share(self._truth[row], wanted, excluded) for row in rows]))
        values: dict[tuple[str, str, int], float] = {}
        rankings: list[Ranking] = []
        for strategy, by in (("base_rank", base), ("rerank", scores), ("ceiling", gains)):
            order = np.argsort(-by, kind="stable")[: max(KS)]
            values |= self._satisfaction(strategy, rows[order], expected, query.expected)
            if strategy != "ceiling":
                judged = ndcg(gains[order], gains, LIST_LENGTH) if expected else float("nan")
                values[strategy, "ndcg", LIST_LENGTH] = judged
                reasons = [self._explain(row, parsed, query) for row in rows[order]]
                values |= self._explanations(strategy, rows[order], reasons, parsed)
                rankings += self._rankings(query, strategy, rows[order], by[order], reasons)
        return QueryResult(query, query.read_rightly(parsed), values), rankings

    def _satisfaction(
        self, strategy: str, rows: NDArray[np.int64], true: Constraints, predicted: Constraints
    ) -> dict[tuple[str, str, int], float]:
        values = {}
        for k in KS:
            truth, read = [self._truth[row] for row in rows], [self._candidates.attributes[row] for row in rows]
            values[strategy, "constraint_satisfaction", k] = constraint_satisfaction(
                truth, true.wanted, true.excluded, k
            )
            if strategy != "ceiling":
                values[strategy, "constraint_satisfaction_predicted", k] = constraint_satisfaction(
                    read, predicted.wanted, predicted.excluded, k
                )
        return values

    def _explain(self, row: int, parsed: Constraints, query: EvalQuery) -> Explanation:
        return explain(self._candidates.attributes[row], self._candidates.confidence[row], parsed, query.language)

    def _explanations(
        self, strategy: str, rows: NDArray[np.int64], reasons: Sequence[Explanation], parsed: Constraints
    ) -> dict[tuple[str, str, int], float]:
        attributes, confidence = self._candidates.attributes, self._candidates.confidence
        verdicts = [
            verify(reason.text, attributes[row], confidence=confidence[row], constraints=parsed)
            for row, reason in zip(rows, reasons, strict=True)
        ]
        made = [len(verdict.claims) for verdict in verdicts]
        false = [len(verdict.hallucinated) for verdict in verdicts]
        right = [self._right(row, reason) for row, reason in zip(rows, reasons, strict=True)]
        values = {}
        for k in KS:
            values[strategy, "explanation_faithfulness", k] = explanation_faithfulness(made, false, k)
            known = [share for share in right[:k] if share is not None]
            values[strategy, "explanation_correctness", k] = float(np.mean(known)) if known else float("nan")
        return values

    def _right(self, row: int, reason: Explanation) -> float | None:
        """Share of the cited values that are the true ones; None when no cited field has both sides known."""
        truth = self._truth[row]
        pairs = [(value, truth[name]) for name, value in reason.evidence.items() if name in truth and value != UNKNOWN]
        return sum(cited == true for cited, true in pairs) / len(pairs) if pairs else None

    def _rankings(
        self,
        query: EvalQuery,
        strategy: str,
        rows: NDArray[np.int64],
        scores: NDArray[np.float64],
        reasons: Sequence[Explanation],
    ) -> list[Ranking]:
        return [
            Ranking(
                query_id=query.query_id,
                strategy=strategy,
                position=position,
                item_id=self._table.item_ids[row],
                score=float(points),
                explanation=reason.text,
                evidence={**reason.evidence, "request": query.text},
            )
            for position, (row, points, reason) in enumerate(
                zip(rows[:LIST_LENGTH], scores[:LIST_LENGTH], reasons[:LIST_LENGTH], strict=True), start=1
            )
        ]
