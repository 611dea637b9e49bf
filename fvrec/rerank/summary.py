"""Per-query numbers -> ``metrics`` rows with intervals: over all, by language, by number of constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fvrec.records import Metric
from fvrec.rerank.queries import EvalQuery
from fvrec.stats import Interval, bootstrap_mean, paired_difference

STAGE = "rerank"
PARSER_EXACT_MATCH = "parser_exact_match"
SLICED_K = 10
COMPARED = ("constraint_satisfaction", "constraint_satisfaction_predicted", "ndcg")
"""Metrics that also get a ``_difference`` row."""


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
    """One query's numbers. ``values``: (strategy, metric, k) -> value, NaN where it means nothing."""

    query: EvalQuery
    read_rightly: bool
    values: Mapping[tuple[str, str, int], float]


def summarise(results: Sequence[QueryResult], context: MetricContext, *, seed: int) -> list[Metric]:
    """Means over queries with 95 % intervals, as rows.

    ``<metric>_difference`` with strategy ``rerank`` and ``params.against = base_rank`` is the paired mean of rerank
    minus base over the same queries. Slices: ``language=zh``, ``constraints=2``; they hold the rows at k = 10.
    """
    rows = _of_slice(results, context, "", seed)
    slices: dict[str, list[QueryResult]] = {}
    for result in results:
        slices.setdefault(f"language={result.query.language}", []).append(result)
        slices.setdefault(f"constraints={len(result.query.expected)}", []).append(result)
    for name in sorted(slices):
        rows += _of_slice(slices[name], context, name, seed)
    return rows


def _of_slice(results: Sequence[QueryResult], context: MetricContext, name: str, seed: int) -> list[Metric]:
    shared = {**vars(context), "stage": STAGE, "seed": seed, "slice": name}
    exact = bootstrap_mean([float(result.read_rightly) for result in results], seed=seed)
    rows = [_row(PARSER_EXACT_MATCH, exact, {**shared, "strategy": "rerank"})]
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
    return [row for row in rows if row.n]


def _values(
    results: Sequence[QueryResult], strategy: str, metric: str, k: int
) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([result.values[strategy, metric, k] for result in results], dtype=np.float64)


def _row(metric: str, interval: Interval, shared: Mapping[str, Any]) -> Metric:
    return Metric(
        metric=metric, value=interval.value, ci_low=interval.low, ci_high=interval.high, n=interval.n, **shared
    )
