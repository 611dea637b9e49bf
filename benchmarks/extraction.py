"""How much faster is constrained extraction than ``generate``, and does a catalogue of any size fit in memory?

    python -m benchmarks.extraction --json extraction.json [--threads 2] [--repeats 3] [--images 100000]

Both sides read the same titles and image features with a language model of the same size, random weights in bfloat16,
each at the batch size that suits it best. Rounds alternate between the sides, so that a busy machine slows both; a
round's ratio is taken within the round, the median is reported with the lowest and the highest. The same again from
the photos: decoded, through the tower, read. ``benchmarks/plain_extraction.py`` says what the other side is.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import cycle, islice
from pathlib import Path

import torch
from transformers.utils.logging import disable_progress_bar

from benchmarks.extraction_smollm2 import BATCHES, smollm2_extractor
from benchmarks.extraction_stream import stream
from benchmarks.extraction_world import World, make_world, our_extractor
from benchmarks.plain_extraction import ANSWER_TOKENS, PlainExtractor, answer_length, general_tokenizer
from fvrec.artifacts import atomic_write
from fvrec.config import PRESETS
from fvrec.vlm.collate import Encoder
from fvrec.vlm.extract import Extractor
from fvrec.vlm.images import HeldFeatures, ImageFeatures
from fvrec.vlm.samples import Sample
from fvrec.vlm.tokenizer import train_tokenizer

SIZES = {name: PRESETS[name].llm for name in ("tiny", "small")}
OURS_BATCHES, PLAIN_BATCHES = (32, 64, 128), (16, 32, 64, 128)
PHOTOS = 256
Read = Callable[[list[Sample], int], object]


@dataclass(frozen=True)
class Side:
    """Images a second of one side at its best batch size: median, slowest and fastest round."""

    batch: int
    images_per_second: float
    slowest: float
    fastest: float


@dataclass(frozen=True)
class Ratio:
    """A speed-up: median over the rounds, lowest and highest."""

    median: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Comparison:
    """One model size: features given, then from the photos."""

    ours: Side
    plain: Side
    grammar: Side
    ours_from_pixels: Side
    plain_from_pixels: Side
    vs_generate: Ratio
    vs_grammar: Ratio
    from_pixels: Ratio


@dataclass(frozen=True)
class SmolLm2:
    """SmolLM2-135M, constrained: images a second with features given, and from the photos."""

    features_given: Side
    from_pixels: Side


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def best_batch(sizes: Sequence[int], read: Read, world: World) -> int:
    """The batch size with the most images a second, over one batch each (twice, the faster counts)."""
    read(world.samples[: sizes[0]], sizes[0])

    def cost(size: int) -> float:
        samples = list(islice(cycle(world.samples), size))
        return min(seconds(lambda: read(samples, size)) for _ in range(2)) / size

    return min(sizes, key=cost)


def compare(name: str, world: World, repeats: int) -> Comparison:
    """All sides of one size, round by round."""
    ours = our_extractor(SIZES[name], world)
    tokenizer = general_tokenizer(world.titles)
    plain = PlainExtractor(SIZES[name], world.tower, tokenizer, grammar=False)
    grammar = PlainExtractor(SIZES[name], world.tower, tokenizer, grammar=True)
    readers: dict[str, Read] = {
        "ours": lambda samples, size: ours.read(samples, world.features, batch_size=size),
        "plain": lambda samples, _: plain.answer(samples, world.features),
        "grammar": lambda samples, _: grammar.answer(samples, world.features),
    }
    batches = {side: best_batch(OURS_BATCHES if side == "ours" else PLAIN_BATCHES, read, world)
               for side, read in readers.items()}  # fmt: skip
    readers["ours_from_pixels"] = lambda samples, _: _from_photos(ours, world, samples)
    readers["plain_from_pixels"] = lambda samples, _: plain.answer(*_encoded(world, samples))
    batches |= {f"{side}_from_pixels": batches[side] for side in ("ours", "plain")}
    rates = measure(readers, batches, world, repeats)
    sides = {side: _side(batches[side], rates[side]) for side in readers}
    return Comparison(
        **sides,
        vs_generate=_ratio(rates["ours"], rates["plain"]),
        vs_grammar=_ratio(rates["ours"], rates["grammar"]),
        from_pixels=_ratio(rates["ours_from_pixels"], rates["plain_from_pixels"]),
    )


def measure(readers: dict[str, Read], batches: dict[str, int], world: World, repeats: int) -> dict[str, list[float]]:
    """Images a second of every side in every round. Ours reads several batches: one is over too soon to be timed."""
    rates: dict[str, list[float]] = {side: [] for side in readers}
    for _ in range(repeats):
        for side, read in readers.items():
            wanted = batches[side] if side.startswith(("plain", "grammar")) else 4 * batches[side]
            count = min(wanted, PHOTOS) if side.endswith("pixels") else wanted
            samples = list(islice(cycle(world.samples), count))
            rates[side].append(count / seconds(lambda r=read, s=samples, b=batches[side]: r(s, b)))  # type: ignore[misc]
    return rates


def smollm2(world: World, folder: Path, repeats: int) -> SmolLm2 | None:
    """None when its package is not installed."""
    extractor = smollm2_extractor(world, folder)
    if extractor is None:
        return None
    readers: dict[str, Read] = {"given": lambda s, size: extractor.read(s, world.features, batch_size=size)}
    batch = best_batch(BATCHES, readers["given"], world)
    readers["pixels"] = lambda samples, _: _from_photos(extractor, world, samples)
    rates = measure(readers, dict.fromkeys(readers, batch), world, repeats)
    return SmolLm2(_side(batch, rates["given"]), _side(batch, rates["pixels"]))


def _from_photos(extractor: Extractor, world: World, samples: Sequence[Sample]) -> object:
    numbers = [int(sample.item_id) for sample in samples]
    return extractor.extract([world.photos[n] for n in numbers], [world.titles[n] for n in numbers])


def _encoded(world: World, samples: list[Sample]) -> tuple[list[Sample], HeldFeatures]:
    """The samples' photos through the tower: what comes before ``generate`` on the plain side."""
    encoder = ImageFeatures(world.tower)
    loaded = {sample.item_id: encoder.load(world.photos[int(sample.item_id)]) for sample in samples}
    held = encoder.encode(list(loaded.values()))
    return [replace(one, image_sha256=loaded[one.item_id].sha256) for one in samples], held


def _side(batch: int, rates: Sequence[float]) -> Side:
    return Side(batch, statistics.median(rates), min(rates), max(rates))


def _ratio(ours: Sequence[float], other: Sequence[float]) -> Ratio:
    ratios = [a / b for a, b in zip(ours, other, strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


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
    parser.add_argument("--sizes", nargs="*", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--images", type=int, default=20_000, help="length of the streamed catalogue; 0: leave it out")
    parser.add_argument("--no-smollm2", action="store_true", help="leave SmolLM2 out")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    disable_progress_bar()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        world = make_world(folder, PHOTOS, options.seed)
        compared = {name: compare(name, world, options.repeats) for name in options.sizes}
        large = None if options.no_smollm2 else smollm2(world, folder / "smollm2", options.repeats)
        streamed = stream(world, options.images, folder / "features") if options.images else None
        facts = _facts(world)
    body = {
        **_headline(list(compared.values())),
        "smollm2_images_per_s": None if large is None else large.features_given.images_per_second,
        "presets": {name: asdict(one) for name, one in compared.items()},
        "smollm2": None if large is None else asdict(large),
        "streaming": None if streamed is None else asdict(streamed),
        "tokens": facts,
        "threads": options.threads,
        "repeats": options.repeats,
        "precision": "bfloat16",
        "seconds": time.perf_counter() - started,
    }
    print(json.dumps(body, indent=2))
    atomic_write(options.json, json.dumps(body, indent=2) + "\n")
    return 0


def _headline(compared: Sequence[Comparison]) -> dict[str, object]:
    """Of each ratio that of the size with the smaller one, and its lowest and highest round."""
    names = {"vs_generate": "speedup_vs_generate", "vs_grammar": "speedup_vs_grammar",
             "from_pixels": "speedup_from_pixels"}  # fmt: skip
    least = {
        name: min((getattr(one, name) for one in compared), key=lambda r: r.median, default=None) for name in names
    }
    medians = {names[name]: None if one is None else one.median for name, one in least.items()}
    return medians | {f"{names[name]}_range": one and (one.lowest, one.highest) for name, one in least.items()}


if __name__ == "__main__":
    sys.exit(main())
