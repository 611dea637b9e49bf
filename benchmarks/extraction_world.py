"""What every side of the extraction benchmark reads, and our side's model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fvrec.config import LanguageModelSize
from fvrec.prompts import extraction_messages
from fvrec.sources import open_source
from fvrec.sources.base import RawRow
from fvrec.vlm.collate import Encoder
from fvrec.vlm.extract import Extractor
from fvrec.vlm.images import HeldFeatures
from fvrec.vlm.model import new_model
from fvrec.vlm.samples import Sample
from fvrec.vlm.tokenizer import IMAGE_TOKEN, token_id, train_tokenizer
from fvrec.vlm.towers import Tower, load_tower


@dataclass(frozen=True, eq=False)
class World:
    """Samples with titles, their features in float16, and the photos behind them."""

    samples: list[Sample]
    features: HeldFeatures
    photos: list[Path]
    titles: list[str]
    tower: Tower


def make_world(folder: Path, count: int, seed: int) -> World:
    """``count`` drawn products, each with a photo of its own."""
    source = open_source("embedded", folder, items=count, seed=seed)
    source.prepare()
    rows = [row for row in source.rows() if isinstance(row, RawRow)]
    tower = load_tower("lite0")
    titles = [row.title for row in rows]
    samples = [
        Sample(str(at), "image_title", tuple(extraction_messages(title, "", with_image=True)), "", str(at))
        for at, title in enumerate(titles)
    ]
    random = np.random.default_rng(seed)
    shape = (tower.tokens, sum(tower.streams))
    held = {str(at): random.standard_normal(shape, dtype=np.float32).astype(np.float16) for at in range(len(rows))}
    return World(samples, HeldFeatures(held), [row.image_path for row in rows], titles, tower)


def our_extractor(size: LanguageModelSize, world: World) -> Extractor:
    """Random weights in bfloat16 behind the catalogue's own tokenizer."""
    tokenizer = train_tokenizer(world.titles, vocabulary=size.bpe_vocabulary)
    image_id = token_id(tokenizer, IMAGE_TOKEN)
    model = new_model(size, world.tower, vocabulary=len(tokenizer), image_token_id=image_id, seed=1)
    encoder = Encoder(tokenizer, model.config.visual_positions, max_length=1024)
    return Extractor("base", model.eval().requires_grad_(False), encoder, precision="bfloat16")
