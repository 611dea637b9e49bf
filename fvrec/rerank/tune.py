"""Chooses the weights of the score, on queries about val items: never on what is reported.

The grid reaches from Base (alpha = beta = 0, nothing filtered) to readings taken at their word, so that a model that
reads badly costs no more than it is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.records import Metric
from fvrec.rerank.bench import Bench, Trial
from fvrec.rerank.metrics import ndcg
from fvrec.rerank.protocol import SIZES
from fvrec.rerank.queries import EvalQuery
from fvrec.rerank.score import ScoreWeights
from fvrec.rerank.summary import STAGE, TUNING, MetricContext
from fvrec.rerank.table import Candidates

ALPHAS = (0.0, 0.25, 1.0, 4.0)
BETAS = (0.0, 0.5, 2.0)
TUNED_AT = 10
POINT = ("alpha", "beta", "expected", "strict")
"""The weights that the grid is over."""
VISIBLE = 0.001
"""Differences of satisfaction below this do not show in a report."""


@dataclass(frozen=True)
class Tuning:
    """The weights chosen, and the grid's numbers as rows of split val (``params``: ``POINT``)."""

    weights: ScoreWeights
    metrics: list[Metric]


def tune(
    queries: Sequence[EvalQuery],
    candidates: Candidates,
    *,
    supervised: Sequence[str],
    context: MetricContext,
    seed: int,
    start: ScoreWeights | None = None,
) -> Tuning:
    """Of the grid points as good as the best by true constraint_satisfaction@10, the one nearest to ``start``.

    As good: its paired loss to the best is below ``VISIBLE`` or within one standard error (Breiman et al., 1984), so
    that a flat grid does not choose by chance. Queries and candidates are of val, drawn from the whole catalogue
    (``protocol``). The other weights are those of ``start``. Raises FvrecError without queries.
    """
    if not queries:
        raise FvrecError("there are no queries to tune on")
    initial = start or ScoreWeights()
    bench, rng = Bench(candidates, frozenset(supervised)), np.random.default_rng(seed)
    trials = [bench.trial(query, "catalogue", SIZES["catalogue"], initial, rng) for query in queries]
    judged = [trial for trial in trials if len(trial.expected)]
    found = [_judged(judged, weights) for weights in _grid(initial)]
    chosen = min(_as_good_as_the_best(found), key=lambda point: _distance(point.weights, initial)).weights
    rows = [row for point in found for row in _rows(point, context, seed)]
    return Tuning(chosen, [*rows, _row(f"{TUNING}_chosen", 1.0, chosen, context, seed, len(judged))])


@dataclass(frozen=True, eq=False)
class _Point:
    """A grid point with the true satisfaction and the NDCG of each query, both ``[Q]``."""

    weights: ScoreWeights
    satisfied: NDArray[np.float64]
    gained: NDArray[np.float64]


def _grid(start: ScoreWeights) -> list[ScoreWeights]:
    return [
        replace(start, alpha=alpha, beta=beta, expected=expected, strict=strict)
        for strict in (True, False)
        for expected in (False, True)
        for alpha in ALPHAS
        for beta in BETAS
    ]


def _judged(trials: Sequence[Trial], weights: ScoreWeights) -> _Point:
    lists = [trial.gains[trial.by_score(weights, TUNED_AT)] for trial in trials]
    gained = [ndcg(gains, trial.gains, TUNED_AT) for gains, trial in zip(lists, trials, strict=True)]
    return _Point(weights, np.array([gains.mean() for gains in lists]), np.array(gained))


def _as_good_as_the_best(points: Sequence[_Point]) -> list[_Point]:
    if not points[0].satisfied.size:
        return list(points)
    top = max(points, key=lambda point: float(point.satisfied.mean()))
    losses = [top.satisfied - point.satisfied for point in points]
    return [
        point
        for point, loss in zip(points, losses, strict=True)
        if loss.mean() < max(VISIBLE, loss.std() / np.sqrt(loss.size))
    ]


def _distance(weights: ScoreWeights, start: ScoreWeights) -> float:
    return float(sum(abs(getattr(weights, name) - getattr(start, name)) for name in POINT))


def _rows(point: _Point, context: MetricContext, seed: int) -> list[Metric]:
    means = {"constraint_satisfaction": point.satisfied, "ndcg": point.gained}
    return [
        _row(f"{TUNING}_{name}", float(values.mean()), point.weights, context, seed, values.size)
        for name, values in means.items()
        if values.size
    ]


def _row(metric: str, value: float, weights: ScoreWeights, context: MetricContext, seed: int, n: int) -> Metric:
    params = {name: getattr(weights, name) for name in POINT}
    shared = {**vars(context), "split": "val", "strategy": "rerank", "slice": TUNING, "k": TUNED_AT}
    return Metric(stage=STAGE, metric=metric, value=value, seed=seed, params=params, n=n, **shared)
