"""SFT data: chat samples with strict JSON targets for training, and the fixed evaluation set.

Files are written a line at a time, and judged by reading them back: what is measured is what training will read.
"""

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
    settings = context.settings
    for name, split in FILES.items():
        items = context.warehouse.items(settings.source, [split])
        file = context.build(sft_file(settings, name))
        dropped = _write(file, items)
        context.save_metrics([_count("dropped", split, dropped), *_judge(file, name, split, settings.seed)])
        if split == "test":
            atomic_write(context.build(_evaluation_file(settings)), "".join(_evaluation_lines(items)))


def _write(file: Path, items: Sequence[Item]) -> int:
    """One line for each sample whose target passes the strict parser; returns how many did not."""
    from fvrec.vlm.samples import judged_samples, to_line

    dropped = 0
    with file.open("w", encoding="utf-8") as lines:
        for sample, fits in judged_samples(items):
            if fits:
                lines.write(to_line(sample) + "\n")
            else:
                dropped += 1
    return dropped


def _judge(file: Path, name: str, split: str, seed: int) -> list[Metric]:
    """Counts and pass rates of a file as it was written. SanityError unless all of it is fit to train on."""
    from fvrec.vlm.samples import read_samples

    total = valid_json = valid_schema = 0
    items: set[str] = set()
    sample_of: list[Sample] = []
    random = np.random.default_rng(seed)
    for total, sample in enumerate(read_samples(file), start=1):
        verdict = parse_answer(sample.target)
        valid_json += verdict.json_valid
        valid_schema += verdict.schema_valid
        items.add(sample.item_id)
        # A reservoir: every sample of the file is equally likely to be looked at closely.
        if len(sample_of) < SAMPLES:
            sample_of.append(sample)
        elif (place := int(random.integers(total))) < SAMPLES:
            sample_of[place] = sample
    _check(sample_of, name)
    rates = [("json_valid_rate", valid_json), ("schema_pass_rate", valid_schema)]
    for metric, passed in rates:
        if passed != total:
            raise SanityError(f"{metric} of the written samples is below 1", where=str(file), found=f"{passed}/{total}")
    return [
        _count("samples", split, total),
        _count("items", split, len(items)),
        *(
            Metric(stage="sft_data", metric=metric, split=split, value=passed / total, n=total)
            for metric, passed in rates
        ),
    ]


def _evaluation_lines(items: Sequence[Item]) -> Iterator[str]:
    """What is asked of each test item, and the labels that the answer is held against (known ones only)."""
    for item in items:
        labels = {name: label.value for name, label in item.attributes.items() if label.origin != "unknown"}
        for inputs in INPUTS:
            line = {"item_id": item.item_id, "inputs": inputs, "image_path": item.image_path, "labels": labels}
            yield json.dumps(line, ensure_ascii=False) + "\n"


def _check(chosen: Sequence[Sample], name: str) -> None:
    """SanityError unless these samples obey the schema, bear what their inputs say, and do not all say the same."""
    if not chosen:
        raise SanityError("no training samples were made", where=f"data/sft/{name}.jsonl")
    for sample in chosen:
        verdict = parse_answer(sample.target)
        if not verdict.schema_valid:
            raise SanityError("a target breaks the schema", where=f"{name}: {sample.item_id}", found=verdict.error)
        if bool(sample.image_sha256) == (sample.inputs == "title"):
            raise SanityError("a sample's image does not fit its inputs", where=f"{name}: {sample.item_id}")
    if len(chosen) == SAMPLES and len({sample.target for sample in chosen}) == 1:
        raise SanityError("all sampled targets are the same", where=f"data/sft/{name}.jsonl")


def _count(metric: str, split: str, value: int) -> Metric:
    return Metric(stage="sft_data", metric=metric, split=split, value=value, n=value)
