"""What the page's benchmark shows: a published catalogue of any size with photos, scores, lists and a list policy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.ask import SOURCE, VARIANT, fill_warehouse, products, readings, vectors
from fvrec.config import RlBudget, Settings
from fvrec.evaluation import evaluate
from fvrec.records import CurvePoint, Item, Metric, Ranking, Run, utc_now
from fvrec.rl.artifact import save_policy
from fvrec.rl.items import build_items
from fvrec.rl.train import train_policy
from fvrec.schema import FIELDS
from fvrec.vlm.towers import load_tower
from warehouse import write
from warehouse.db import publish
from warehouse.read import Warehouse

PHOTOS, PHOTO_SIZE = 200, (600, 800)
SCORED, TRAINED_ON = 2000, 400
_BUDGET = RlBudget(train_users=20, test_users=10, timesteps=1280, pool_size=20)


def build(root: Path, items: int, seed: int) -> Settings:
    """Fill a root that the page can be opened on; its settings."""
    settings = Settings(root=root, source=SOURCE, seed=seed)
    photos = _draw_photos(root / "photos", seed)
    catalogue = [
        replace(item, image_path=str(photos[number % len(photos)].relative_to(root)))
        for number, item in enumerate(products(items, seed))
    ]
    read, rows = readings(catalogue, seed), vectors(items, load_tower("lite0").streams[0], seed)
    settings.warehouse_dir.mkdir(parents=True)
    fill_warehouse(settings.warehouse_dir, catalogue, read, rows)
    _score(settings, catalogue[:SCORED])
    few = slice(TRAINED_ON)
    table = build_items(catalogue[few], read[few], rows[few])
    save_policy(train_policy(table, budget=_BUDGET, seed=seed, source=SOURCE), settings.policies / "rl")
    publish(settings.database, settings.snapshot)
    return settings


def _draw_photos(folder: Path, seed: int) -> list[Path]:
    """Pictures of a shop's size, of soft patches, so that they compress as photos do."""
    folder.mkdir(parents=True)
    rng, paths = np.random.default_rng(seed), []
    for number in range(PHOTOS):
        patches = Image.fromarray(rng.integers(0, 256, (16, 12, 3), dtype=np.uint8))
        paths.append(folder / f"{number}.jpg")
        patches.resize(PHOTO_SIZE, Image.Resampling.BICUBIC).save(paths[-1], "JPEG", quality=90)
    return paths


def _score(settings: Settings, items: list[Item]) -> None:
    """Scores, confusions and reliability of the model; a trade-off with a list behind it."""
    live = settings.database
    read = Warehouse(live).predictions("run", **VARIANT)[: len(items)]
    scored = evaluate(read, {item.item_id: item for item in items}, FIELDS, seed=settings.seed, split="test")
    now = utc_now()
    write.save_run(live, Run("rl", "rl", "rl", "tiny", SOURCE, "", {}, now, now, "complete"))
    write.save_metrics(live, "run", [replace(row, source=SOURCE, preset="tiny", seed=7) for row in scored.metrics])
    write.save_confusions(live, "run", scored.confusions)
    write.save_curves(live, "run", scored.curves)
    beside = {"coverage": 0.5, "true_reward": 2.0}
    line = [
        CurvePoint("rl", "mmr_tradeoff", 0.8 + t / 10, 0.5 - t / 10, {"trade_off": t, **beside})
        for t in (0.0, 0.5, 1.0)
    ]
    write.save_curves(live, "rl", line)
    figures = {"ndcg": 0.85, "ild": 0.45, **beside}
    rows = [
        Metric("rl", name, value, source=SOURCE, preset="tiny", split="test", strategy="rl", k=10, seed=7, n=9)
        for name, value in figures.items()
    ]
    write.save_metrics(live, "rl", rows)
    first = [Ranking("test-0", "rl", n, item.item_id, 1.0 / n, "", {}) for n, item in enumerate(items[:10], start=1)]
    write.save_rankings(live, "rl", first)
