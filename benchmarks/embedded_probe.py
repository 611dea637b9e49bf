"""Can the embedded catalogue's cues be seen? An MLP on frozen tower features reads every field on held-out items.

    python -m benchmarks.embedded_probe --json probe.json [--items 3000] [--seed 7]

Features are those the VLM gets: Lite0's 7x7 cells, the RGB patches of the thumbnail and their colour histograms. The
probe sees their mean, and the cells one by one after a principal component analysis fitted on the train items. Train:
the train split; held out: val and test, which share no design with it. A field is scored on the items that it applies
to. Exit status 1 when a field is read below ``REACH``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.metrics import f1_score
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from fvrec import catalog
from fvrec.artifacts import atomic_write
from fvrec.records import Item
from fvrec.schema import FIELDS, UNKNOWN
from fvrec.sources import open_source
from fvrec.vlm.colours import CELL_CHANNELS, PATCH_CHANNELS
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.towers import load_tower

REACH = 0.90
CELL_COMPONENTS, ALL_COMPONENTS = 64, 512


@dataclass(frozen=True)
class Reading:
    """How well one field is read on ``n`` held-out items, beside always saying the most frequent value."""

    field: str
    accuracy: float
    macro_f1: float
    majority_share: float
    values: int
    n: int


def probe(items: Sequence[Item], features: NDArray[np.float16], deep: int, seed: int) -> list[Reading]:
    """One MLP a field. features: ``[B, T, D]`` of a ``LiteTower``, the first ``deep`` of D from its network."""
    train = np.array([item.split == "train" for item in items])
    inputs = _inputs(features, deep, train, seed)
    return [_read(field, items, inputs, train, seed) for field in FIELDS]


def _inputs(features: NDArray[np.float16], deep: int, train: NDArray[np.bool_], seed: int) -> NDArray[np.float32]:
    """``[B, ALL_COMPONENTS]``: mean, cells and colours, rotated to their main directions on the train items."""
    grid = features[:, :-1]  # the last token sums the photo up
    cells = grid[..., :deep].astype(np.float32)
    patches = grid[..., deep : deep + PATCH_CHANNELS].astype(np.float32)
    histograms = grid[..., deep + PATCH_CHANNELS : deep + CELL_CHANNELS].astype(np.float32)
    batch, tokens, _ = cells.shape
    fitting = cells[train].reshape(-1, deep)
    chosen = np.random.default_rng(seed).choice(len(fitting), size=min(20_000, len(fitting)), replace=False)
    rotation = PCA(CELL_COMPONENTS, random_state=seed).fit(fitting[chosen])
    narrow = np.stack([rotation.transform(row) for row in cells]).reshape(batch, -1)
    tints = patches.reshape(batch, tokens, 3, -1).mean(axis=3).reshape(batch, -1)
    blocks = [cells.mean(axis=1), cells.max(axis=1), narrow, tints, histograms.mean(axis=1)]
    scaled = [StandardScaler().fit(block[train]).transform(block) / np.sqrt(block.shape[1]) for block in blocks]
    joined = np.concatenate(scaled, axis=1)
    components = min(ALL_COMPONENTS, int(train.sum()))
    rotated = PCA(components, random_state=seed).fit(joined[train]).transform(joined)
    return np.asarray(rotated / rotated[train].std(), dtype=np.float32)


def _read(
    field: str, items: Sequence[Item], inputs: NDArray[np.float32], train: NDArray[np.bool_], seed: int
) -> Reading:
    truth = np.array([item.values[field] for item in items])
    known = truth != UNKNOWN
    model = MLPClassifier((256,), alpha=1e-2, learning_rate_init=1e-3, max_iter=60, early_stopping=True,
                          n_iter_no_change=8, random_state=seed)  # fmt: skip
    model.fit(inputs[known & train], truth[known & train])
    held_out = truth[known & ~train]
    read = model.predict(inputs[known & ~train])
    majority = Counter(truth[known & train]).most_common(1)[0][0]
    return Reading(
        field=field,
        accuracy=float((read == held_out).mean()),
        macro_f1=float(f1_score(held_out, read, average="macro")),
        majority_share=float((held_out == majority).mean()),
        values=len(set(truth[known])),
        n=len(held_out),
    )


def reached(readings: Sequence[Reading]) -> bool:
    """Is every field read well enough?"""
    return all(reading.accuracy >= REACH for reading in readings)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="where the numbers go")
    parser.add_argument("--items", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--work", type=Path, help="keep pictures and features here (default: a temporary folder)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        source = open_source("embedded", work / "raw", items=options.items, seed=options.seed)
        items = catalog.build(source, root=work, progress=partial(tqdm, desc="photos")).items
        tower = load_tower("lite0")
        cache = FeatureCache(work / "cache", tower)
        cache.ensure({item.image_sha256: work / item.image_path for item in items}, partial(tqdm, desc="features"))
        features = cache.rows([item.image_sha256 for item in items])
        readings = probe(items, features, tower.streams[0], options.seed)
    for reading in readings:
        print(f"{reading.field:14} {reading.accuracy:.3f}  macro-F1 {reading.macro_f1:.3f}  "
              f"majority {reading.majority_share:.3f}  n={reading.n}")  # fmt: skip
    body = {"items": options.items, "seed": options.seed, "reach": REACH, "reached": reached(readings),
            "readings": [asdict(reading) for reading in readings]}  # fmt: skip
    atomic_write(options.json, json.dumps(body, indent=2) + "\n")
    return 0 if reached(readings) else 1


if __name__ == "__main__":
    sys.exit(main())
