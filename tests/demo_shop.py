"""A small true shop on disk: drawn products, real picture vectors, answers with seeded mistakes, a brief policy.

Everything goes through the library and is published, so that pages meet what the pipeline leaves behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fvrec import catalog
from fvrec.config import RlBudget, Settings
from fvrec.records import Embedding, Item, Prediction, Run
from fvrec.rl.artifact import save_policy
from fvrec.rl.items import build_items
from fvrec.rl.train import train_policy
from fvrec.schema import FIELDS, VALUES, parse_answer, render_answer
from fvrec.sources import open_source
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.towers import load_tower
from warehouse import write
from warehouse.db import migrate, publish

TOWER = "lite0"
MISTAKES = {"sft": 0.3, "lora": 0.05}
"""Share of fields that a model reads wrongly."""
_BUDGET = RlBudget(train_users=20, test_users=10, timesteps=1280, pool_size=20)


def build_demo_shop(root: Path, *, items: int = 240, seed: int = 7) -> Settings:
    """Make everything that the page reads under ``root``; the settings to open it with."""
    settings = Settings(root=root, source="embedded", seed=seed, preset="smoke")
    source = open_source("embedded", settings.raw_dir, items=items, seed=seed)
    products = catalog.build(source, root=root).items
    migrate(settings.database)
    write.save_items(settings.database, "embedded", products, [])
    held_out = [item for item in products if item.split in ("val", "test")]
    vectors = _save_vectors(settings, held_out)
    lora = save_readings(settings, products, seed=seed)
    _save_policy(settings, held_out, lora, vectors)
    publish(settings.database, settings.snapshot)
    return settings


def save_readings(
    settings: Settings, products: Sequence[Item], *, seed: int, run_prefix: str = "extract"
) -> list[Prediction]:
    """One complete extraction run a model, as the pipeline reads them; what lora read of pictures with titles."""
    test = [item for item in products if item.split == "test"]
    held_out = [item for item in products if item.split in ("val", "test")]
    lora = [read(item, "lora", "image_title", seed) for item in held_out]
    _save_run(settings, f"{run_prefix}_base", [read(item, "base", "image_title", seed) for item in held_out])
    _save_run(settings, f"{run_prefix}_sft", [read(item, "sft", "image_title", seed) for item in held_out])
    _save_run(settings, f"{run_prefix}_lora", [*lora, *(read(item, "lora", "image", seed + 1) for item in test)])
    return lora


def read(item: Item, model: str, inputs: str, seed: int) -> Prediction:
    """An answer of that model: the truth with some fields misread; the base writes a title instead of JSON."""
    raw = item.title if model == "base" else _answer(item, MISTAKES[model], seed)
    judged = parse_answer(raw)
    return Prediction(
        item_id=item.item_id,
        model=model,
        inputs=inputs,
        mode="raw",
        raw_output=raw,
        json_valid=judged.json_valid,
        schema_valid=judged.schema_valid,
        error=judged.error,
        error_class=judged.error_class,
        attributes=judged.answer.attributes if judged.answer else {},
        confidence=judged.answer.confidence if judged.answer else {},
    )


def _answer(item: Item, mistakes: float, seed: int) -> str:
    rng = np.random.default_rng([seed, *item.item_id.encode()])
    wrong = {field: bool(rng.random() < mistakes) for field in FIELDS}
    values = {field: str(rng.choice(VALUES[field])) if wrong[field] else item.values[field] for field in FIELDS}
    return render_answer(values, {field: rng.uniform(0.2, 0.6) if wrong[field] else 0.9 for field in FIELDS})


def _save_run(settings: Settings, run_id: str, predictions: Sequence[Prediction]) -> None:
    at = datetime(2026, 1, 5, 8, tzinfo=UTC)
    run = Run(
        run_id=run_id,
        flow="extraction",
        stage=f"extract_{predictions[0].model}",
        preset=settings.preset,
        source=settings.source,
        code_version="test",
        config={},
        started_at=at,
        finished_at=at,
        status="complete",
    )
    write.save_run(settings.database, run)
    write.save_predictions(settings.database, run.run_id, predictions)


def _save_vectors(settings: Settings, items: Sequence[Item]) -> NDArray[np.float32]:
    cache = FeatureCache(settings.cache / "features", load_tower(TOWER))
    cache.ensure({item.image_sha256: settings.root / item.image_path for item in items})
    vectors = cache.embeddings([item.image_sha256 for item in items])
    rows = [Embedding(item.item_id, TOWER, tuple(map(float, row))) for item, row in zip(items, vectors, strict=True)]
    write.save_embeddings(settings.database, settings.source, rows)
    return vectors


def _save_policy(
    settings: Settings, items: Sequence[Item], predictions: Sequence[Prediction], vectors: NDArray[np.float32]
) -> None:
    trained = train_policy(
        build_items(items, predictions, vectors), budget=_BUDGET, seed=settings.seed, source=settings.source
    )
    save_policy(trained, settings.policies / "rl")
