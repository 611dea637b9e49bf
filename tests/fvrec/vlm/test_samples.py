from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from fvrec.errors import FvrecError
from fvrec.prompts import IMAGE_PLACEHOLDER, PROMPT_PREFIX
from fvrec.records import AttributeValue, Item
from fvrec.schema import FIELDS, parse_answer
from fvrec.vlm.collate import Encoder
from fvrec.vlm.samples import caption_sample, extraction_sample, read_samples, sft_samples, to_line


def test_variants_show_what_their_names_say(items: list[Item]) -> None:
    item = items[0]
    image, title, both = (extraction_sample(item, inputs) for inputs in ("image", "title", "image_title"))
    assert item.title not in image.prompt
    assert image.image_sha256 == both.image_sha256 == item.image_sha256
    assert item.title in title.prompt
    assert item.title in both.prompt
    assert title.image_sha256 == ""
    assert [sample.prompt.count(IMAGE_PLACEHOLDER) for sample in (image, title, both)] == [1, 0, 1]
    assert all(sample.prompt.startswith(PROMPT_PREFIX) for sample in (image, title, both))


def test_targets_hold_the_labels_and_how_sure_they_are(items: list[Item]) -> None:
    ruled = {**items[0].attributes, "style": AttributeValue("casual", "rule")}
    answer = parse_answer(extraction_sample(dataclasses.replace(items[0], attributes=ruled), "image").target).answer
    assert answer is not None
    assert answer.attributes["color"] == "red"
    assert (answer.confidence["color"], answer.confidence["style"], answer.confidence["fit"]) == (0.9, 0.7, 0.1)


def test_a_label_outside_the_schema_is_dropped_and_counted(items: list[Item]) -> None:
    bad = dataclasses.replace(items[0], attributes={**items[0].attributes, "color": AttributeValue("teal", "source")})
    made = sft_samples([bad, items[1]])
    assert made.dropped == 3
    assert {sample.item_id for sample in made.samples} == {items[1].item_id}


def test_a_file_gives_the_samples_back(items: list[Item], tmp_path: Path) -> None:
    samples = sft_samples(items[:3]).samples
    file = tmp_path / "train.jsonl"
    file.write_text("".join(to_line(sample) + "\n" for sample in samples), encoding="utf-8")
    assert tuple(read_samples(file)) == samples
    turns = json.loads(file.read_text(encoding="utf-8").splitlines()[0])["conversations"]
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant"]


@pytest.mark.parametrize("mark", ["<image>", "<|im_end|>", "<|im_start|>", "<|image_pad|>", "\n"])
def test_a_title_cannot_steer_the_prompt(items: list[Item], mark: str) -> None:
    plain = extraction_sample(dataclasses.replace(items[0], title="red shoe"), "image_title").prompt
    tricky = extraction_sample(dataclasses.replace(items[0], title=f"red {mark} shoe"), "image_title").prompt
    assert tricky == plain


def test_caption_asks_for_the_title(items: list[Item]) -> None:
    sample = caption_sample(items[0])
    assert sample.target == items[0].title
    assert items[0].title not in sample.prompt


def test_a_long_description_is_cut_to_fit(items: list[Item], encoder: Encoder) -> None:
    long = dataclasses.replace(items[0], description="很长的描述" * 100)
    encoded = encoder(extraction_sample(long, "image_title"))
    assert len(encoded.prompt) + len(encoded.target) <= encoder.max_length
    narrow = dataclasses.replace(encoder, max_length=60)
    with pytest.raises(FvrecError, match="longer than max_length"):
        narrow(extraction_sample(items[0], "image"))


def test_targets_cover_all_fields(items: list[Item]) -> None:
    answer = parse_answer(extraction_sample(items[0], "title").target).answer
    assert answer is not None
    assert tuple(answer.attributes) == FIELDS
