"""SFT data: chat samples with strict JSON targets for training, and the fixed evaluation set."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fvrec.artifacts import atomic_write
from fvrec.config import Settings
from fvrec.errors import SanityError
from fvrec.records import INPUTS, Item, Metric, Split
from fvrec.schema import parse_answer
from tasks.context import Context
from tasks.places import ITEM_RELATIONS, sft_file
from tasks.stage import stage

if TYPE_CHECKING:
    from fvrec.vlm.samples import Sample

FILES: Mapping[str, Split] = {"train": "train", "eval": "val", "test": "test"}
"""File of ``data/sft`` -> split of its items."""
SAMPLES = 30


def _evaluation_file(settings: Settings) -> Path:
    return settings.eval_dir / "extraction_eval.jsonl"


def _outputs(settings: Settings) -> list[Path]:
    return [*(sft_file(settings, name) for name in FILES), _evaluation_file(settings)]


@stage("sft_data", flow="sft", outputs=_outputs, needs={"ingest": ITEM_RELATIONS})
def sft_data(context: Context) -> None:
    """One sample per item and input variant, its target gated by the strict parser; labels of the test split apart."""
    from fvrec.vlm.samples import sft_samples, to_line

    settings = context.settings
    metrics = []
    for name, split in FILES.items():
        items = context.warehouse.items(settings.source, [split])
        made = sft_samples(items)
        _check(made.samples, name, settings.seed)
        atomic_write(context.build(sft_file(settings, name)), "".join(to_line(one) + "\n" for one in made.samples))
        metrics += [_count("samples", split, len(made.samples)), _count("dropped", split, made.dropped)]
        if split == "test":
            atomic_write(context.build(_evaluation_file(settings)), "".join(_evaluation_lines(items)))
    context.save_metrics(metrics)


def _evaluation_lines(items: Sequence[Item]) -> Iterator[str]:
    """What is asked of each test item, and the labels that the answer is held against (known ones only)."""
    for item in items:
        labels = {name: label.value for name, label in item.attributes.items() if label.origin != "unknown"}
        for inputs in INPUTS:
            line = {"item_id": item.item_id, "inputs": inputs, "image_path": item.image_path, "labels": labels}
            yield json.dumps(line, ensure_ascii=False) + "\n"


def _check(samples: Sequence[Sample], name: str, seed: int) -> None:
    """SanityError unless 30 samples parse, obey the schema, bear a prompt, and do not all say the same."""
    if not samples:
        raise SanityError("no training samples were made", where=f"data/sft/{name}.jsonl")
    size = min(SAMPLES, len(samples))
    chosen = [samples[i] for i in np.random.default_rng(seed).choice(len(samples), size=size, replace=False)]
    for sample in chosen:
        verdict = parse_answer(sample.target)
        if not verdict.schema_valid:
            raise SanityError("a target breaks the schema", where=f"{name}: {sample.item_id}", found=verdict.error)
        if bool(sample.image_sha256) == (sample.inputs == "title"):
            raise SanityError("a sample's image does not fit its inputs", where=f"{name}: {sample.item_id}")
    if size == SAMPLES and len({sample.target for sample in chosen}) == 1:
        raise SanityError("all sampled targets are the same", where=f"data/sft/{name}.jsonl")


def _count(metric: str, split: str, value: int) -> Metric:
    return Metric(stage="sft_data", metric=metric, split=split, value=value, n=value)
