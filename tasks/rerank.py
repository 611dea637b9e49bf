"""Constraint rerank: generated queries over held-out items, base order against rerank, every explanation verified."""

from __future__ import annotations

from tasks.context import Context
from tasks.places import LABELLED, SERVED_INPUTS, SERVED_MODE, SERVED_MODEL, supervised_fields
from tasks.stage import stage
from warehouse import write


@stage(
    "rerank",
    flow="rerank",
    outputs=lambda settings: [settings.eval_dir / "rerank_eval.jsonl"],
    config=lambda settings: {"queries": settings.budget.rerank_queries, "seed": settings.seed, "model": SERVED_MODEL},
    needs={
        "ingest": LABELLED,
        "features": ("embeddings",),
        "extract_lora": ("predictions", "predicted_attributes"),
    },
)
def rerank(context: Context) -> None:
    """Generate the queries, judge both orders by predicted and by true attributes, check 30 explanations."""
    from fvrec.rerank.evaluate import check, evaluate
    from fvrec.rerank.queries import generate, write_queries
    from fvrec.rerank.summary import MetricContext

    settings = context.settings
    fields = supervised_fields(context.warehouse, context.run_of("ingest"))
    candidates = context.warehouse.candidates(
        settings.source,
        splits=["test"],
        model=SERVED_MODEL,
        inputs=SERVED_INPUTS,
        mode=SERVED_MODE,
        preset=settings.preset,
        embedding_model=settings.budget.tower,
    )
    queries = generate(candidates.items, fields, n=settings.budget.rerank_queries, seed=settings.seed)
    write_queries(context.build(settings.eval_dir / "rerank_eval.jsonl"), queries)
    described = MetricContext(settings.source, "test", settings.preset, SERVED_MODEL, SERVED_INPUTS, SERVED_MODE)
    evaluation = evaluate(queries, candidates, supervised=fields, context=described, seed=settings.seed)
    check(evaluation, candidates, seed=settings.seed)
    write.save_rankings(context.database, context.run_id, evaluation.rankings)
    context.save_metrics(evaluation.metrics)
