"""List rerank by reinforcement learning: PPO on val items, judged against Base and MMR on test users and items."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fvrec.config import Settings
from fvrec.records import Split
from tasks.context import Context
from tasks.places import ITEM_RELATIONS, SERVED_INPUTS, SERVED_MODE, SERVED_MODEL
from tasks.progress import steps
from tasks.shards import runner_of
from tasks.stage import stage
from warehouse import write

if TYPE_CHECKING:
    from fvrec.rl.items import ItemTable


def policy_dir(settings: Settings) -> Path:
    """The list policy, as safetensors and JSON."""
    return settings.policies / "rl"


@stage(
    "rl",
    flow="rl",
    outputs=lambda settings: [policy_dir(settings)],
    config=lambda settings: {**asdict(settings.budget.rl), "seed": settings.seed, "model": SERVED_MODEL},
    needs={
        "ingest": ITEM_RELATIONS,
        "features": ("embeddings",),
        "extract_lora": ("predictions", "predicted_attributes"),
    },
    source_relations=("users", "interactions"),
)
def rl(context: Context) -> None:
    """Train the list policy, check it, save it, and compare it with Base, MMR and random order on unseen users."""
    from fvrec.rl.artifact import save_policy
    from fvrec.rl.evaluate import choose_own_weight, evaluate_policy
    from fvrec.rl.train import check_trained, train_policy
    from fvrec.rl.users import SIMULATED

    settings, budget = context.settings, context.settings.budget.rl
    val_items, test_items = _items(context, "val"), _items(context, "test")
    trained = train_policy(
        val_items,
        budget=budget,
        seed=settings.seed,
        progress=steps("rl: PPO steps"),
        source=settings.source,
        resume=settings.resume / "rl",
    )
    check_trained(trained, val_items, budget=budget)
    own = choose_own_weight(trained, val_items, budget)
    trained = trained.at(own.weight)
    save_policy(trained, context.build(policy_dir(settings)))
    shutil.rmtree(settings.resume / "rl", ignore_errors=True)
    result = evaluate_policy(
        trained,
        val_items=val_items,
        test_items=test_items,
        budget=budget,
        source=settings.source,
        preset=settings.preset,
        runner=runner_of(settings, context.stage),
    )
    curves = [*trained.learning_curve, *trained.diagnostics, *result.curves]
    write.save_curves(context.database, context.run_id, curves)
    write.save_rankings(context.database, context.run_id, result.rankings)
    population = result.population
    write.save_users(context.database, settings.source, population.users, population.interactions, kind=SIMULATED)
    said = own.metrics(trained, source=settings.source, preset=settings.preset)
    context.save_metrics([*result.metrics, *said])


def _items(context: Context, split: Split) -> ItemTable:
    """What is true and what was read of a split's items, with their vectors."""
    from fvrec.rl.items import build_items

    settings = context.settings
    source = settings.source
    items = context.warehouse.items(source, [split])
    predictions = context.warehouse.predictions(
        context.run_of("extract_lora"), model=SERVED_MODEL, inputs=SERVED_INPUTS, mode=SERVED_MODE
    )
    tower = context.warehouse.embedding_model(source)
    vectors = context.warehouse.embeddings([item.item_id for item in items], tower, source=source)
    return build_items(items, predictions, vectors)
