"""Per-query numbers -> ``metrics`` rows with intervals: over all, by language, by number of constraints, by draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fvrec.records import Metric
from fvrec.rerank.protocol import CandidateDraw
from fvrec.rerank.queries import EvalQuery
from fvrec.stats import Interval, bootstrap_mean, paired_difference

STAGE = "rerank"
PARSER_EXACT_MATCH = "parser_exact_match"
SLICED_K = 10
COMPARED = ("constraint_satisfaction", "constraint_satisfaction_predicted", "ndcg")
"""Metrics that also get a ``_difference`` row."""
ATTAINABLE = "constraints=1-2, matching>=10"
"""Requests that a list of ten can meet in full: one or two constraints, ten candidates that truly match."""
TUNING = "tuning"
"""First word of the metrics of the grid that weights are chosen from, and the slice that they stand in."""
OF_CEILING = "constraint_satisfaction_of_ceiling"


@dataclass(frozen=True)
class MetricContext:
    """Whose predictions on which data: the dimensions that every row shares."""

    source: str
    split: str
    preset: str
    model: str
    inputs: str
    mode: str


@dataclass(frozen=True)
class QueryResult:
    """One query's numbers on one draw of candidates, ``matching`` of which truly meet all of it.

    ``values``: (strategy, metric, k) -> value, NaN where it means nothing.
    """

    query: EvalQuery
    read_rightly: bool
    values: Mapping[tuple[str, str, int], float]
    draw: CandidateDraw = "catalogue"
    matching: int = 0

    @property
    def slices(self) -> tuple[str, ...]:
        """Every slice that the result belongs to; the one without a name holds all results on the whole catalogue."""
        tongue, size = f"language={self.query.language}", len(self.query.expected)
        attainable = size <= 2 and self.matching >= SLICED_K
        if self.draw != "catalogue":
            drawn = f"candidates={self.draw}"
            return (drawn, f"{drawn}, {ATTAINABLE}") if attainable else (drawn,)
        always = ("", tongue, f"constraints={size}")
        return (*always, ATTAINABLE, f"{ATTAINABLE}, {tongue}") if attainable else always


def summarise(results: Sequence[QueryResult], context: MetricContext, *, seed: int) -> list[Metric]:
    """Means over queries with 95 % intervals, as rows.

    ``<metric>_difference`` with strategy ``rerank`` and ``params.against = base_rank`` is the paired mean of rerank
    minus base over the same queries; ``constraint_satisfaction_of_ceiling`` is rerank's mean over the ceiling's.
    Slices (``language=zh``, ``constraints=2``, ``candidates=recall``, ``ATTAINABLE``) hold the rows at k = 10.
    """
    slices: dict[str, list[QueryResult]] = {}
    for result in results:
        for name in result.slices:
            slices.setdefault(name, []).append(result)
    return [row for name in sorted(slices) for row in _of_slice(slices[name], context, name, seed)]


def _of_slice(results: Sequence[QueryResult], context: MetricContext, name: str, seed: int) -> list[Metric]:
    shared = {**vars(context), "stage": STAGE, "seed": seed, "slice": name}
    exact = bootstrap_mean([float(result.read_rightly) for result in results], seed=seed)
    rows = [_row(PARSER_EXACT_MATCH, exact, {**shared, "strategy": "rerank"})]
    rows += [_of_ceiling(results, k, shared) for k in _cut_offs(results, name)]
    for strategy, metric, k in results[0].values:
        if name and k != SLICED_K:
            continue
        values = _values(results, strategy, metric, k)
        interval = bootstrap_mean(values[np.isfinite(values)], seed=seed)
        rows.append(_row(metric, interval, {**shared, "strategy": strategy, "k": k}))
        if strategy == "rerank" and metric in COMPARED:
            base = _values(results, "base_rank", metric, k)
            both = np.isfinite(values) & np.isfinite(base)
            gain = paired_difference(values[both], base[both], seed=seed)
            against = {**shared, "strategy": strategy, "k": k, "params": {"against": "base_rank"}}
            rows.append(_row(f"{metric}_difference", gain, against))
    return [row for row in rows if row.n and np.isfinite(row.value)]


def _cut_offs(results: Sequence[QueryResult], name: str) -> list[int]:
    ks = sorted({k for strategy, _, k in results[0].values if strategy == "ceiling"})
    return [k for k in ks if not name or k == SLICED_K]


def _of_ceiling(results: Sequence[QueryResult], k: int, shared: Mapping[str, Any]) -> Metric:
    reached, possible = (_values(results, one, "constraint_satisfaction", k) for one in ("rerank", "ceiling"))
    both = np.isfinite(reached) & np.isfinite(possible)
    share = float(reached[both].mean() / possible[both].mean()) if both.any() and possible[both].any() else float("nan")
    return Metric(metric=OF_CEILING, value=share, n=int(both.sum()), k=k, **{**shared, "strategy": "rerank"})


def _values(
    results: Sequence[QueryResult], strategy: str, metric: str, k: int
) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([result.values[strategy, metric, k] for result in results], dtype=np.float64)


def _row(metric: str, interval: Interval, shared: Mapping[str, Any]) -> Metric:
    return Metric(
        metric=metric, value=interval.value, ci_low=interval.low, ci_high=interval.high, n=interval.n, **shared
    )
