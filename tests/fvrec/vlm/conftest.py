"""A toy world that a small model can learn whole: flat-coloured squares whose colour decides every label."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from PIL import Image

from fvrec.config import LanguageModelSize
from fvrec.records import AttributeValue, Item
from fvrec.schema import FIELDS, UNKNOWN
from fvrec.vlm.collate import Encoder, TrainingCollator
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.model import MiniMindVLM, new_model
from fvrec.vlm.tokenizer import IMAGE_TOKEN, token_id, train_tokenizer
from fvrec.vlm.towers import load_tower

COLOURS = {"red": (220, 20, 20), "green": (20, 180, 20), "blue": (20, 20, 220)}
CATEGORY = {"red": "dress", "green": "pants", "blue": "tshirt"}
SIZE = LanguageModelSize(layers=2, hidden=64, heads=4, kv_heads=2, intermediate=128, bpe_vocabulary=300)


def make_item(folder: Path, number: int, split: str = "train") -> Item:
    colour = list(COLOURS)[number % 3]
    shade = tuple(min(255, channel + 3 * (number // 3)) for channel in COLOURS[colour])
    path = folder / f"{number}.png"
    Image.new("RGB", (32, 32), shade).save(path)
    values = dict.fromkeys(FIELDS, UNKNOWN) | {"color": colour, "category": CATEGORY[colour]}
    attributes = {
        field: AttributeValue(value, "unknown" if value == UNKNOWN else "source") for field, value in values.items()
    }
    return Item(
        item_id=f"item{number}",
        source="toy",
        group_id=f"group{number}",
        split=split,
        image_path=str(path),
        image_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        title=f"a {colour} thing",
        description="",
        raw={},
        attributes=attributes,
    )


@pytest.fixture(scope="session")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    folder = tmp_path_factory.mktemp("toy")
    return [make_item(folder, number) for number in range(24)]


@pytest.fixture(scope="session")
def cache(items: list[Item], tmp_path_factory: pytest.TempPathFactory) -> FeatureCache:
    cache = FeatureCache(tmp_path_factory.mktemp("features"), load_tower("lite0"))
    cache.ensure({item.image_sha256: Path(item.image_path) for item in items})
    return cache


@pytest.fixture(scope="session")
def encoder(items: list[Item]) -> Encoder:
    tokenizer = train_tokenizer((item.title for item in items), vocabulary=SIZE.bpe_vocabulary)
    return Encoder(tokenizer, visual_positions=load_tower("lite0").tokens, max_length=256)


def new_toy_model(encoder: Encoder, cache: FeatureCache, seed: int = 3) -> MiniMindVLM:
    image_id = token_id(encoder.tokenizer, IMAGE_TOKEN)
    return new_model(SIZE, cache.tower, vocabulary=len(encoder.tokenizer), image_token_id=image_id, seed=seed)


@pytest.fixture
def model(encoder: Encoder, cache: FeatureCache) -> MiniMindVLM:
    return new_toy_model(encoder, cache)


@pytest.fixture
def collator(encoder: Encoder, cache: FeatureCache) -> TrainingCollator:
    return TrainingCollator(encoder, cache)
