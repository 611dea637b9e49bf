"""Which sample, under which input variant and view, comes in which batch: fixed by the seed before training starts."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch.utils.data import Dataset

from fvrec.errors import FvrecError
from fvrec.prompts import texts_of
from fvrec.schema import UNKNOWN, parse_answer
from fvrec.vlm.plan import TrainingPlan
from fvrec.vlm.samples import Sample

VARIANT_SHARES: Mapping[str, float] = {"image": 0.50, "image_title": 0.15, "title": 0.35}
"""How often each input variant is drawn. The image alone is the hardest and the one that extraction is judged by.

Beside an image the model need not read the title, so titles are learned from alone.
"""
_BOTH = "image_title"
_SAME_CATEGORY = 0.5
Length = Callable[[Sample], int]


class Schedule(Dataset[Sample]):
    """The samples in training order. A batch holds one input variant, so hardly anything is padded.

    With ``plan.bucket`` > 1 and ``length`` given, so many batches at a time are sorted by length first.
    """

    def __init__(self, samples: Sequence[Sample], plan: TrainingPlan, length: Length | None = None) -> None:
        by_item: dict[str, dict[str, Sample]] = {}
        for sample in samples:
            by_item.setdefault(sample.item_id, {})[sample.inputs] = sample
        if not by_item:
            raise FvrecError("nothing to train on: the train split is empty")
        order = list(_schedule(by_item, plan, _known(length) if length and plan.bucket > 1 else None))
        if plan.swapped_photos:
            order = list(_with_swapped_photos(order, by_item, plan))
        self._order = list(_with_views(order, plan))

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> Sample:
        return self._order[index]


class Held(Dataset[Sample]):
    """Held-out samples as they are, one variant after the other so that batches are of a kind."""

    def __init__(self, samples: Sequence[Sample], *, limit: int, seed: int) -> None:
        if not samples:
            raise FvrecError("nothing to evaluate on: the val split is empty", allowed="evaluations = 0, or more data")
        chosen = np.random.default_rng(seed).permutation(len(samples))[:limit]
        self._order = sorted((samples[index] for index in chosen), key=lambda sample: (sample.inputs, sample.item_id))

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> Sample:
        return self._order[index]


def padding_waste(schedule: Sequence[Sample] | Schedule, micro_batch: int, length: Length) -> float:
    """Share of the positions in batches that are padding: ``1 - sum of lengths / sum of (widest x batch)``.

    >>> padding_waste(["aa", "aaaa"], 2, len)  # 6 of 8 positions hold something
    0.25
    """
    known = _known(length)
    lengths = [known(schedule[index]) for index in range(len(schedule))]
    batches = [lengths[start : start + micro_batch] for start in range(0, len(lengths), micro_batch)]
    return 1 - sum(lengths) / sum(max(batch) * len(batch) for batch in batches)


def _known(length: Length) -> Length:
    """The length of each sample is found out once: a schedule repeats samples epoch by epoch."""
    lengths: dict[tuple[str, str] | str, int] = {}

    def known(sample: Sample) -> int:
        key = (sample.item_id, sample.inputs) if isinstance(sample, Sample) else sample
        if key not in lengths:
            lengths[key] = length(sample)
        return lengths[key]

    return known


def _schedule(
    by_item: Mapping[str, Mapping[str, Sample]], plan: TrainingPlan, length: Length | None
) -> Iterator[Sample]:
    rng = random.Random(plan.seed)  # noqa: S311 - shuffling, not secrets
    room = plan.batch_size * (plan.bucket if length else 1)
    waiting: dict[str, list[Sample]] = {}
    for sample in _drawn(by_item, plan, rng):
        pool = waiting.setdefault(sample.inputs, [])
        pool.append(sample)
        if len(pool) == room:
            yield from _bucketed(pool, plan.batch_size, length, rng)
            pool.clear()
    for pool in waiting.values():
        # A last incomplete batch is filled up from its own start so that batch borders stay aligned.
        if pool:
            full = -(-len(pool) // plan.batch_size) * plan.batch_size
            yield from _bucketed((pool * plan.batch_size)[:full], plan.batch_size, length, rng)


def _drawn(by_item: Mapping[str, Mapping[str, Sample]], plan: TrainingPlan, rng: random.Random) -> Iterator[Sample]:
    remaining = max(round(plan.epochs * len(by_item)), plan.batch_size)
    while remaining > 0:
        names = list(by_item)
        rng.shuffle(names)
        for name in names[:remaining]:
            variants = by_item[name]
            weights = [VARIANT_SHARES.get(inputs, 1.0) for inputs in variants]
            yield variants[rng.choices(list(variants), weights)[0]]
        remaining -= len(names)


def _bucketed(pool: Sequence[Sample], size: int, length: Length | None, rng: random.Random) -> Iterator[Sample]:
    """Batches of similar length, in random order."""
    if length is None:
        yield from pool
        return
    ordered = sorted(pool, key=length)
    batches = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    rng.shuffle(batches)
    for batch in batches:
        yield from batch


def _with_swapped_photos(
    order: Sequence[Sample], by_item: Mapping[str, Mapping[str, Sample]], plan: TrainingPlan
) -> Iterator[Sample]:
    """A share of the samples with photo and title shows a photo drawn from all products, or half the time its category.

    A tower may be surer of train photos than of new ones; one that was tuned on them is. Were a photo never wrong
    beside a title, the model would learn to believe it where the title knows better. What titles do not say is still
    most often right in the photo. Photos of other categories alone would be told by that.
    """
    rng = random.Random(f"{plan.seed}/swapped")  # noqa: S311 - its own generator: swaps change no order
    shown = [variants[_BOTH] for variants in by_item.values() if _BOTH in variants]
    categories = {sample.item_id: _category(sample) for sample in shown}
    alike: dict[str, list[Sample]] = {}
    for sample in shown:
        alike.setdefault(categories[sample.item_id], []).append(sample)
    for sample in order:
        # Without any text the photo is all there is to read.
        if sample.inputs != _BOTH or not any(texts_of(sample.messages)) or rng.random() >= plan.swapped_photos:
            yield sample
            continue
        other = rng.choice(alike[categories[sample.item_id]] if rng.random() < _SAME_CATEGORY else shown)
        yield replace(sample, image_sha256=other.image_sha256, image_path=other.image_path)


def _category(sample: Sample) -> str:
    answer = parse_answer(sample.target).answer
    return answer.attributes["category"] if answer else UNKNOWN


def _with_views(order: Sequence[Sample], plan: TrainingPlan) -> Iterator[Sample]:
    """Each time a photo is shown, the photo itself or one of the plan's views of it, all equally often."""
    rng = random.Random(f"{plan.seed}/views")  # noqa: S311 - its own generator: views change no order
    for sample in order:
        view = rng.choice(("", *plan.views)) if plan.views and sample.image_sha256 else ""
        yield replace(sample, view=view) if view else sample
