"""Do reranked lists obey the shopper on real photos? From the predictions of ``benchmarks.ablation``, in a minute.

    python -m benchmarks.satisfaction --items ITEMS --predictions RUN.predictions.jsonl.gz --json OUT

The weights of the score are chosen on val, the numbers are of test: 500 requests made from held-out items, the ranker
sees titles and what E2 read (mode constrained, calibrated on val), lists are judged by the labels of the supervised
fields. Once for what was read with the title, once for the image alone. OUT holds rows of ``metrics``.
Exit status 1 when one of the numbers in ``REACH`` is not reached.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from fvrec.artifacts import atomic_write
from fvrec.catalog.files import read_items
from fvrec.records import Item, Metric, Prediction
from fvrec.rerank.evaluate import evaluate
from fvrec.rerank.queries import generate
from fvrec.rerank.summary import MetricContext
from fvrec.rerank.table import candidate_set
from fvrec.rerank.tune import tune
from fvrec.schema import FIELDS, UNKNOWN

MEETABLE = "constraints=1-2, matching>=10"
"""The requests that a list of ten can meet."""
REACH = {
    ("image_title", "constraint_satisfaction"): 0.90,
    ("image_title", "constraint_satisfaction_of_ceiling"): 0.95,
    ("image", "constraint_satisfaction_of_ceiling"): 0.95,
    ("image_title", "constraint_satisfaction_difference"): 0.0,
    ("image", "constraint_satisfaction_difference"): 0.0,
    ("image_title", "explanation_faithfulness"): 1.0,
    ("image", "explanation_faithfulness"): 1.0,
}
"""Of strategy ``rerank`` at 10, over the requests that can be met."""


def read_predictions(path: Path, inputs: str) -> Mapping[str, list[Prediction]]:
    """split -> what E2 read under that input variant, constrained."""
    found: dict[str, list[Prediction]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            split = row.pop("split")
            if (row["model"], row["inputs"], row["mode"]) == ("lora", inputs, "constrained"):
                found[split].append(Prediction(**row))
    return found


def judge(
    items: Mapping[str, Item], predictions: Mapping[str, list[Prediction]], *, queries: int, seed: int
) -> list[Metric]:
    """Weights from val, rows of test."""
    val, test = (
        candidate_set([items[one.item_id] for one in predictions[split]], predictions[split])
        for split in ("val", "test")
    )
    fields = [name for name in FIELDS if any(_supervised(item, name) for item in test.items)]
    first = predictions["test"][0]
    context = MetricContext(test.items[0].source, "test", "", first.model, first.inputs, first.mode)
    made = [generate(part.items, fields, n=count, seed=seed) for part, count in ((val, 200), (test, queries))]
    tuned = tune(made[0], val, supervised=fields, context=context, seed=seed)
    found = evaluate(made[1], test, supervised=fields, context=context, seed=seed, weights=tuned.weights)
    return found.metrics


def _supervised(item: Item, name: str) -> bool:
    attribute = item.attributes[name]
    return attribute.origin == "source" and attribute.value != UNKNOWN


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args(arguments)
    items = {item.item_id: item for item in read_items(options.items)}
    rows, missed = [], []
    for inputs in ("image_title", "image"):
        found = judge(items, read_predictions(options.predictions, inputs), queries=options.queries, seed=options.seed)
        rows += [row for row in found if "recall" not in row.slice]
        for row in found:
            if (row.strategy, row.slice) == ("rerank", MEETABLE) and row.k == 10 and (inputs, row.metric) in REACH:
                least = REACH[inputs, row.metric]
                print(f"{inputs:12}{row.metric:38}{row.value:.3f}  (reach {least})")
                missed += [row] if row.value < least else []
    atomic_write(options.json, json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
