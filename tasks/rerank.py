"""Constraint rerank: weights tuned on val, then base order against rerank on test, every explanation verified."""

from __future__ import annotations

from fvrec.config import Settings
from fvrec.records import CandidateSet, Split
from fvrec.rerank.weights import weights_file, with_settings, write_weights
from tasks.context import Context
from tasks.places import LABELLED, SERVED_INPUTS, SERVED_MODE, SERVED_MODEL, supervised_fields
from tasks.stage import stage
from warehouse import write


def _config(settings: Settings) -> dict[str, object]:
    return {
        "queries": settings.budget.rerank_queries,
        "seed": settings.seed,
        "model": SERVED_MODEL,
        "alpha": settings.alpha,
        "beta": settings.beta,
        "expected": settings.expected,
    }


@stage(
    "rerank",
    flow="rerank",
    outputs=lambda settings: [settings.eval_dir / "rerank_eval.jsonl", weights_file(settings)],
    config=_config,
    needs={
        "ingest": LABELLED,
        "features": ("embeddings",),
        "extract_lora": ("predictions", "predicted_attributes"),
    },
)
def rerank(context: Context) -> None:
    """Tune the weights on val, judge both orders by predicted and by true attributes, check 30 explanations."""
    from fvrec.rerank.evaluate import check, evaluate
    from fvrec.rerank.queries import generate, write_queries
    from fvrec.rerank.summary import MetricContext
    from fvrec.rerank.tune import tune

    settings = context.settings
    count, seed = settings.budget.rerank_queries, settings.seed
    fields = supervised_fields(context.warehouse, context.run_of("ingest"))
    described = MetricContext(settings.source, "test", settings.preset, SERVED_MODEL, SERVED_INPUTS, SERVED_MODE)
    val, candidates = _candidates(context, "val"), _candidates(context, "test")
    tuning = tune(generate(val.items, fields, n=count, seed=seed), val, supervised=fields, context=described, seed=seed)
    weights = with_settings(tuning.weights, settings)
    write_weights(context.build(weights_file(settings)), weights)
    queries = generate(candidates.items, fields, n=count, seed=seed)
    write_queries(context.build(settings.eval_dir / "rerank_eval.jsonl"), queries)
    evaluation = evaluate(queries, candidates, supervised=fields, context=described, seed=seed, weights=weights)
    check(evaluation, candidates, seed=seed)
    write.save_rankings(context.database, context.run_id, evaluation.rankings)
    context.save_metrics([*tuning.metrics, *evaluation.metrics])


def _candidates(context: Context, split: Split) -> CandidateSet:
    return context.warehouse.candidates(
        context.settings.source,
        splits=[split],
        model=SERVED_MODEL,
        inputs=SERVED_INPUTS,
        mode=SERVED_MODE,
        preset=context.settings.preset,
        embedding_model=context.warehouse.embedding_model(context.settings.source),
    )
