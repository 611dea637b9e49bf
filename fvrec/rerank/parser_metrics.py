"""The parser's scores as ``metrics`` rows of stage ``rerank``, strategy ``parser``.

``parser_exact_match`` (values and strengths of the whole request) and ``parser_f1`` (over field, excluded, value; with
``field`` set, over one field). Slices: ``queries=generated``, ``queries=handwritten``, ``queries=fresh`` and so on
(``handwritten.SETS``), and each of them by language (``queries=fresh,language=zh``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fvrec.records import Metric
from fvrec.rerank.constraints import LANGUAGES, Constraints, parse
from fvrec.rerank.handwritten import SETS, handwritten
from fvrec.rerank.parser_score import agreement, exactly
from fvrec.rerank.queries import EvalQuery
from fvrec.rerank.summary import PARSER_EXACT_MATCH, STAGE, MetricContext
from fvrec.schema import FIELDS
from fvrec.stats import bootstrap_mean

PARSER_F1 = "parser_f1"
STRATEGY = "parser"

Pair = tuple[Constraints, Constraints]
"""(expected, parsed)."""


def parser_metrics(generated: Sequence[EvalQuery], *, context: MetricContext, seed: int) -> list[Metric]:
    """Scores on the generated queries (none of these rows without any) and on the handwritten sets."""
    sets: dict[str, list[Pair]] = {
        "generated": [(query.expected, parse(query.text)) for query in generated],
        **{name.removesuffix("_queries"): _read(name) for name in SETS},
    }
    return [row for name, pairs in sets.items() for row in _of_set(f"queries={name}", pairs, context, seed)]


def _read(name: str) -> list[Pair]:
    return [(case.expected, case.parsed()) for case in handwritten(name)]


def _of_set(name: str, pairs: Sequence[Pair], context: MetricContext, seed: int) -> Iterator[Metric]:
    slices = {name: list(pairs)}
    for language in LANGUAGES:
        slices[f"{name},language={language}"] = [pair for pair in pairs if pair[0].language == language]
    for slice_name, chosen in slices.items():
        if chosen:
            yield from _of_slice(slice_name, chosen, context, seed)


def _of_slice(name: str, pairs: Sequence[Pair], context: MetricContext, seed: int) -> Iterator[Metric]:
    shared = {**vars(context), "stage": STAGE, "strategy": STRATEGY, "seed": seed, "slice": name, "n": len(pairs)}
    exact = bootstrap_mean([float(exactly(*pair)) for pair in pairs], seed=seed)
    yield Metric(metric=PARSER_EXACT_MATCH, value=exact.value, ci_low=exact.low, ci_high=exact.high, **shared)
    yield Metric(metric=PARSER_F1, value=agreement(pairs).f1, **shared)
    for field in FIELDS:
        of_field = agreement(pairs, field)
        if of_field.expected + of_field.parsed:
            yield Metric(metric=PARSER_F1, value=of_field.f1, field=field, **shared)
