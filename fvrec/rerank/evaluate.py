"""Base order against constraint rerank on generated queries, judged by predicted and by true attributes.

Protocol, for every query: candidates are drawn from the held-out items in three ways (``protocol``), the item that the
query was made from among them, in random order; how many others match is left to chance. The numbers without a slice
are of the whole catalogue. The ranker sees the text, the titles and the predicted attributes. ``base_rank`` orders by
text similarity alone; ``rerank`` as ``ask`` does, by ``base + alpha * match - beta * conflict`` on the constraints that
the parser read; ``rerank_hard`` and ``rerank_expected`` are the same without and with confidences. ``ceiling`` is a
perfect ranker on those predictions and ``oracle`` one on the truth (``ceiling``).
Lists are judged by the constraints that the query was made with, on fields that the source supervises and by labels
that the source gave (a rule's label comes from the title, which the ranker sees).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError, SanityError
from fvrec.records import Metric, Ranking
from fvrec.rerank.bench import Bench, Trial
from fvrec.rerank.ceiling import ceiling, oracle
from fvrec.rerank.constraints import parse
from fvrec.rerank.explain import Explanation, explain, verify
from fvrec.rerank.metrics import constraint_satisfaction, explanation_faithfulness, ndcg
from fvrec.rerank.protocol import DRAWS, SIZES, CandidateDraw
from fvrec.rerank.queries import EvalQuery
from fvrec.rerank.score import ScoreWeights
from fvrec.rerank.summary import MetricContext, QueryResult, summarise
from fvrec.rerank.table import Candidates
from fvrec.schema import UNKNOWN

LIST_LENGTH = 10
KS = (5, 10, 20)
SANITY_SAMPLES = 30
EXPLAINED = ("base_rank", "rerank")
"""Strategies whose lists are kept, with an explanation for each item."""

Values = dict[tuple[str, str, int], float]


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
    sizes: Mapping[CandidateDraw, int] = SIZES,
) -> RerankEvaluation:
    """Run the module's protocol. ``candidates``: the held-out items with one model's predictions.

    sizes: how many of them each draw takes at most. Raises FvrecError without queries and when a query's item is not
    among the candidates. Same input and seed, same result.
    """
    if not queries:
        raise FvrecError("there are no queries to evaluate on")
    judge = _Judge(Bench(candidates, frozenset(supervised)), candidates, weights or ScoreWeights())
    rng = np.random.default_rng(seed)
    results: list[QueryResult] = []
    rankings: list[Ranking] = []
    for query in queries:
        for kind in DRAWS:
            trial = judge.bench.trial(query, kind, sizes[kind], judge.weights, rng)
            whole = kind == "catalogue"
            values = judge.measure(trial) | (judge.explanations(trial) if whole else {})
            results.append(QueryResult(query, query.read_rightly(trial.parsed), values, kind, trial.matching))
            rankings += judge.rankings(trial) if whole else []
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
    """Ranks and judges one trial at a time."""

    def __init__(self, bench: Bench, candidates: Candidates, weights: ScoreWeights) -> None:
        self.bench = bench
        self.weights = weights
        self._candidates = candidates
        self._variants = {
            "rerank": weights,
            "rerank_hard": replace(weights, expected=False),
            "rerank_expected": replace(weights, expected=True),
        }

    def measure(self, trial: Trial) -> Values:
        """Satisfaction and NDCG of every strategy, and the two bounds."""
        places = {"base_rank": trial.by_base(max(KS))}
        places |= {name: trial.by_score(weights, max(KS)) for name, weights in self._variants.items()}
        values: Values = {}
        for strategy, order in places.items():
            values |= self._satisfaction(strategy, trial, order)
            judged = ndcg(trial.gains[order], trial.gains, LIST_LENGTH) if trial.expected else float("nan")
            values[strategy, "ndcg", LIST_LENGTH] = judged
        for k in KS if trial.expected else ():
            values["ceiling", "constraint_satisfaction", k] = ceiling(trial.gains, trial.seen, k)
            values["oracle", "constraint_satisfaction", k] = oracle(trial.gains, k)
        for k in KS if not trial.expected else ():
            values["ceiling", "constraint_satisfaction", k] = float("nan")
            values["oracle", "constraint_satisfaction", k] = float("nan")
        return values

    def _satisfaction(self, strategy: str, trial: Trial, places: NDArray[np.int64]) -> Values:
        rows = trial.rows[places]
        truth, read = [self.bench.truth[row] for row in rows], [self._candidates.attributes[row] for row in rows]
        true, said = trial.expected, trial.query.expected
        values: Values = {}
        for k in KS:
            values[strategy, "constraint_satisfaction", k] = constraint_satisfaction(
                truth, true.wanted, true.excluded, k
            )
            values[strategy, "constraint_satisfaction_predicted", k] = constraint_satisfaction(
                read, said.wanted, said.excluded, k
            )
        return values

    def explanations(self, trial: Trial) -> Values:
        """Whether what the explained lists say is in the items' JSON, and whether it is true."""
        values: Values = {}
        for strategy in EXPLAINED:
            rows = trial.rows[self._places(strategy, trial, max(KS))]
            reasons = [self._explain(row, trial) for row in rows]
            made, false = self._verified(rows, reasons, trial)
            right = [self._right(row, reason) for row, reason in zip(rows, reasons, strict=True)]
            for k in KS:
                values[strategy, "explanation_faithfulness", k] = explanation_faithfulness(made, false, k)
                known = [share for share in right[:k] if share is not None]
                values[strategy, "explanation_correctness", k] = float(np.mean(known)) if known else float("nan")
        return values

    def rankings(self, trial: Trial) -> list[Ranking]:
        """The first ten of the explained lists, for the report."""
        return [row for strategy in EXPLAINED for row in self._ranking(strategy, trial)]

    def _ranking(self, strategy: str, trial: Trial) -> list[Ranking]:
        places = self._places(strategy, trial, LIST_LENGTH)
        scores = trial.base if strategy == "base_rank" else trial.scores(self.weights)
        rows = []
        for position, place in enumerate(places, start=1):
            row = int(trial.rows[place])
            reason = self._explain(row, trial)
            rows.append(
                Ranking(
                    query_id=trial.query.query_id,
                    strategy=strategy,
                    position=position,
                    item_id=self.bench.table.item_ids[row],
                    score=float(scores[place]),
                    explanation=reason.text,
                    evidence={**reason.evidence, "request": trial.query.text},
                )
            )
        return rows

    def _places(self, strategy: str, trial: Trial, k: int) -> NDArray[np.int64]:
        return trial.by_base(k) if strategy == "base_rank" else trial.by_score(self.weights, k)

    def _explain(self, row: int, trial: Trial) -> Explanation:
        attributes, confidence = self._candidates.attributes[row], self._candidates.confidence[row]
        return explain(attributes, confidence, trial.parsed, trial.query.language)

    def _verified(
        self, rows: NDArray[np.int64], reasons: Sequence[Explanation], trial: Trial
    ) -> tuple[list[int], list[int]]:
        """Claims and hallucinated claims of each explanation."""
        attributes, confidence = self._candidates.attributes, self._candidates.confidence
        verdicts = [
            verify(reason.text, attributes[row], confidence=confidence[row], constraints=trial.parsed)
            for row, reason in zip(rows, reasons, strict=True)
        ]
        return [len(one.claims) for one in verdicts], [len(one.hallucinated) for one in verdicts]

    def _right(self, row: int, reason: Explanation) -> float | None:
        """Share of the cited values that are the true ones; None when no cited field has both sides known."""
        truth = self.bench.truth[row]
        pairs = [(value, truth[name]) for name, value in reason.evidence.items() if name in truth and value != UNKNOWN]
        return sum(cited == true for cited, true in pairs) / len(pairs) if pairs else None
