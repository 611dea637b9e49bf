"""Training and evaluation samples: chat prompt, image hash, strict JSON target; one file line each (``data/sft``)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fvrec.prompts import Message, caption_messages, extraction_messages, render_prompt
from fvrec.records import INPUTS, Inputs, Item, Origin
from fvrec.schema import FIELDS, parse_answer, render_answer

CONFIDENCE_BY_ORIGIN: dict[Origin, float] = {"source": 0.9, "rule": 0.7, "unknown": 0.1}
"""Project plan, 6.2: how sure a label is by where it came from."""


@dataclass(frozen=True)
class Sample:
    """A prompt with its target text. ``image_sha256`` and ``image_path`` are empty when no image is shown.

    ``view``: which augmented view of the photo is shown (empty: the photo itself); drawn in training, never stored.
    """

    item_id: str
    inputs: str
    messages: tuple[Message, ...]
    target: str
    image_sha256: str = ""
    image_path: str = ""
    view: str = ""

    @property
    def prompt(self) -> str:
        return render_prompt(self.messages)


@dataclass(frozen=True)
class SftSet:
    """The samples that passed the gate and the number that did not (dropped: their target broke the schema)."""

    samples: tuple[Sample, ...]
    dropped: int


def extraction_sample(item: Item, inputs: Inputs) -> Sample:
    """The task for one item under one input variant; the target holds its labels and their confidences."""
    with_image, with_text = inputs != "title", inputs != "image"
    messages = extraction_messages(
        item.title if with_text else "", item.description if with_text else "", with_image=with_image
    )
    confidence = {field: CONFIDENCE_BY_ORIGIN[item.attributes[field].origin] for field in FIELDS}
    return Sample(
        item_id=item.item_id,
        inputs=inputs,
        messages=tuple(messages),
        target=render_answer(item.values, confidence),
        image_sha256=item.image_sha256 if with_image else "",
        image_path=item.image_path if with_image else "",
    )


def caption_sample(item: Item) -> Sample:
    """The pretraining task for one item: image -> title."""
    return Sample(item.item_id, "image", tuple(caption_messages()), item.title, item.image_sha256, item.image_path)


def sft_samples(items: Iterable[Item], variants: Sequence[Inputs] = INPUTS) -> SftSet:
    """Every item under every variant whose target passes the strict parser."""
    judged = list(judged_samples(items, variants))
    kept = tuple(sample for sample, fits in judged if fits)
    return SftSet(kept, len(judged) - len(kept))


def judged_samples(items: Iterable[Item], variants: Sequence[Inputs] = INPUTS) -> Iterator[tuple[Sample, bool]]:
    """The same one at a time: every sample, and whether its target passes the strict parser."""
    for item in items:
        for inputs in variants:
            sample = extraction_sample(item, inputs)
            yield sample, parse_answer(sample.target).schema_valid


def to_line(sample: Sample) -> str:
    """One JSON line: ``conversations`` is the chat with the target as the assistant's turn."""
    turns = [{"role": m.role, "content": m.content} for m in (*sample.messages, Message("assistant", sample.target))]
    record = {
        "item_id": sample.item_id,
        "inputs": sample.inputs,
        "image_path": sample.image_path,
        "image_sha256": sample.image_sha256,
        "conversations": turns,
    }
    return json.dumps(record, ensure_ascii=False)


def read_samples(path: Path) -> Iterator[Sample]:
    """Samples of a file of ``to_line`` lines, in its order."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            *asked, answer = (Message(turn["role"], turn["content"]) for turn in record["conversations"])
            yield Sample(
                item_id=record["item_id"],
                inputs=record["inputs"],
                messages=tuple(asked),
                target=answer.content,
                image_sha256=record["image_sha256"],
                image_path=record["image_path"],
            )
