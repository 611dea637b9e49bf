"""How much faster is constrained extraction than ``generate``, and does a catalogue of any size fit in memory?

    python -m benchmarks.extraction --json extraction.json [--threads 2] [--repeats 3]

Both sides read the same titles and image features with a language model of the same size, random weights in bfloat16,
each at the batch size that suits it best. Rounds alternate between the sides, so that a busy machine slows both; a
round's ratio is taken within the round. ``benchmarks/plain_extraction.py`` says what the other side is.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import psutil
import torch
from transformers.utils.logging import disable_progress_bar

from benchmarks.plain_extraction import ANSWER_TOKENS, PlainExtractor, answer_length, general_tokenizer
from fvrec.artifacts import atomic_write
from fvrec.config import PRESETS, LanguageModelSize
from fvrec.prompts import extraction_messages
from fvrec.sources import open_source
from fvrec.sources.base import RawRow
from fvrec.vlm.collate import Encoder
from fvrec.vlm.extract import Extractor
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.images import HeldFeatures
from fvrec.vlm.model import new_model
from fvrec.vlm.samples import Sample
from fvrec.vlm.tokenizer import IMAGE_TOKEN, token_id, train_tokenizer
from fvrec.vlm.towers import Tower, load_tower

MINIMIND2_SMALL = LanguageModelSize(layers=8, hidden=512, heads=8, kv_heads=2, intermediate=1408)
SIZES = {
    "tiny": PRESETS["tiny"].llm,
    "small": PRESETS["small"].llm if "small" in PRESETS else MINIMIND2_SMALL,
}
OURS_BATCHES, PLAIN_BATCHES = (32, 64, 128), (8, 16, 32)


@dataclass(frozen=True)
class Side:
    """Images a second of one side at its best batch size: median, slowest and fastest round."""

    batch: int
    images_per_second: float
    slowest: float
    fastest: float


@dataclass(frozen=True)
class Comparison:
    """One model size. The speed-ups are medians over the rounds, each with its lowest and highest."""

    ours: Side
    plain: Side
    grammar: Side
    ours_from_pixels: float
    plain_from_pixels: float
    speedup_vs_generate: float
    speedup_range: tuple[float, float]
    speedup_vs_grammar: float
    speedup_from_pixels: float


@dataclass(frozen=True)
class Streaming:
    """Reading ``images`` by repetition: growth of the resident memory after the first tenth, cost at two sizes."""

    images: int
    memory_growth_mb: float
    memory_mb: float
    short_catalogue: int
    ms_per_image_short: float
    ms_per_image_long: float
    cost_ratio: float


@dataclass(frozen=True, eq=False)
class World:
    """What both sides read: samples with titles, their features in float16, the photos behind them."""

    samples: list[Sample]
    features: HeldFeatures
    photos: list[Path]
    titles: list[str]
    tower: Tower


def make_world(folder: Path, count: int, seed: int) -> World:
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
    """Random weights behind the catalogue's own tokenizer."""
    tokenizer = train_tokenizer(world.titles, vocabulary=size.bpe_vocabulary)
    image_id = token_id(tokenizer, IMAGE_TOKEN)
    model = new_model(size, world.tower, vocabulary=len(tokenizer), image_token_id=image_id, seed=1)
    encoder = Encoder(tokenizer, model.config.visual_positions, max_length=1024)
    return Extractor("base", model.eval().requires_grad_(False), encoder, precision="bfloat16")


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def best_batch(sizes: Sequence[int], read: Callable[[list[Sample], int], object], world: World) -> int:
    """The batch size with the most images a second, over one batch each (twice, the faster counts)."""
    read(world.samples[: sizes[0]], sizes[0])

    def cost(size: int) -> float:
        samples = list(islice(cycle(world.samples), size))
        return min(seconds(lambda: read(samples, size)) for _ in range(2)) / size

    return min(sizes, key=cost)


def compare(name: str, world: World, repeats: int) -> Comparison:
    ours = our_extractor(SIZES[name], world)
    tokenizer = general_tokenizer(world.titles)
    plain = PlainExtractor(SIZES[name], world.tower, tokenizer, grammar=False)
    grammar = PlainExtractor(SIZES[name], world.tower, tokenizer, grammar=True)
    readers: dict[str, Callable[[list[Sample], int], object]] = {
        "ours": lambda samples, size: ours.read(samples, world.features, batch_size=size),
        "plain": lambda samples, _: plain.answer(samples, world.features),
        "grammar": lambda samples, _: grammar.answer(samples, world.features),
    }
    batches = {side: best_batch(OURS_BATCHES if side == "ours" else PLAIN_BATCHES, read, world)
               for side, read in readers.items()}  # fmt: skip
    rounds: dict[str, list[float]] = {side: [] for side in readers}
    for _ in range(repeats):
        for side, read in readers.items():
            count = 4 * batches[side] if side == "ours" else batches[side]
            samples = list(islice(cycle(world.samples), count))
            rounds[side].append(count / seconds(lambda r=read, s=samples, b=batches[side]: r(s, b)))  # type: ignore[misc]
    return _comparison(rounds, batches, pixel_cost(world))


def _comparison(rounds: dict[str, list[float]], batches: dict[str, int], per_photo: float) -> Comparison:
    ratios = {side: [a / b for a, b in zip(rounds["ours"], rounds[side], strict=True)] for side in rounds}
    sides = {side: Side(batches[side], statistics.median(r), min(r), max(r)) for side, r in rounds.items()}
    pixels = {side: 1 / (1 / one.images_per_second + per_photo) for side, one in sides.items()}
    return Comparison(
        ours=sides["ours"],
        plain=sides["plain"],
        grammar=sides["grammar"],
        ours_from_pixels=pixels["ours"],
        plain_from_pixels=pixels["plain"],
        speedup_vs_generate=statistics.median(ratios["plain"]),
        speedup_range=(min(ratios["plain"]), max(ratios["plain"])),
        speedup_vs_grammar=statistics.median(ratios["grammar"]),
        speedup_from_pixels=pixels["ours"] / pixels["plain"],
    )


def pixel_cost(world: World) -> float:
    """Seconds to decode one photo and run the tower on it; the same on every side."""
    from fvrec.vlm.images import ImageFeatures

    encoder = ImageFeatures(world.tower)
    photos = world.photos[:64]
    encoder.encode([encoder.load(photo) for photo in world.photos[64:72]])
    return seconds(lambda: encoder.encode([encoder.load(photo) for photo in photos])) / len(photos)


def stream(world: World, images: int, folder: Path) -> Streaming:
    """Read ``images`` products through the public iterator, at the size of preset ``smoke``, and watch the memory."""
    extractor = our_extractor(PRESETS["smoke"].llm, world)
    cache = FeatureCache(folder, world.tower)  # else encoding the few photos would weigh on the short catalogue alone
    short = max(images // 20, 256)
    list(_stream(extractor, world, short, cache))  # everything is loaded and warm from here on
    short_seconds = seconds(lambda: [None for _ in _stream(extractor, world, short, cache)])
    process = psutil.Process()
    resident: list[float] = []
    start = time.perf_counter()
    for number, _ in enumerate(_stream(extractor, world, images, cache)):
        if number % 1000 == 0:
            resident.append(process.memory_info().rss / 2**20)
    long_seconds = time.perf_counter() - start
    settled = resident[len(resident) // 10 :]
    per_short, per_long = 1e3 * short_seconds / short, 1e3 * long_seconds / images
    return Streaming(images, max(settled) - settled[0], settled[-1], short, per_short, per_long, per_long / per_short)


def _stream(extractor: Extractor, world: World, images: int, cache: FeatureCache) -> Iterator[object]:
    return extractor.stream(islice(cycle(world.photos), images), islice(cycle(world.titles), images), cache=cache)


def _facts(world: World) -> dict[str, object]:
    general = general_tokenizer(world.titles)
    own = train_tokenizer(world.titles, vocabulary=SIZES["tiny"].bpe_vocabulary)
    prompts = {name: Encoder(one, world.tower.tokens, 4096).prompt_ids(world.samples[0])
               for name, one in (("general", general), ("own", own))}  # fmt: skip
    return {
        "plain_answer_tokens": ANSWER_TOKENS,
        "general_answer_tokens": answer_length(general),
        "own_answer_tokens": answer_length(own),
        "general_prompt_tokens": len(prompts["general"]),
        "own_prompt_tokens": len(prompts["own"]),
        "image_positions": world.tower.tokens,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="where the numbers go")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--images", type=int, default=100_000, help="length of the streamed catalogue; 0: leave it out")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    disable_progress_bar()
    with tempfile.TemporaryDirectory() as temporary:
        world = make_world(Path(temporary), 200, options.seed)
        compared = {name: compare(name, world, options.repeats) for name in options.sizes}
        streamed = stream(world, options.images, Path(temporary) / "features") if options.images else None
        facts = _facts(world)
    body = {
        "speedup_vs_generate": min(one.speedup_vs_generate for one in compared.values()),
        "speedup_vs_grammar": min(one.speedup_vs_grammar for one in compared.values()),
        "speedup_from_pixels": min(one.speedup_from_pixels for one in compared.values()),
        "presets": {name: asdict(one) for name, one in compared.items()},
        "streaming": None if streamed is None else asdict(streamed),
        "tokens": facts,
        "threads": options.threads,
        "repeats": options.repeats,
        "precision": "bfloat16",
    }
    print(json.dumps(body, indent=2))
    atomic_write(options.json, json.dumps(body, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
