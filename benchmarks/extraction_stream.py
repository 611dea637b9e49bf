"""Does a catalogue of any size fit in memory, and does an image of a long one cost what one of a short one costs?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import psutil

from benchmarks.extraction_world import World, our_extractor
from fvrec.config import PRESETS
from fvrec.vlm.extract import Extractor
from fvrec.vlm.features import FeatureCache

_EVERY = 250


@dataclass(frozen=True)
class Streaming:
    """Reading ``images`` by repetition. Memory is the resident set after the first fifth: ``memory_growth_mb`` its
    highest above where it then stood, ``memory_slope_mb_per_10k`` its least-squares slope. ``cost_ratio``: an image of
    the long catalogue against one of the short."""

    images: int
    memory_growth_mb: float
    memory_slope_mb_per_10k: float
    memory_mb: float
    images_per_second: float
    short_catalogue: int
    ms_per_image_short: float
    ms_per_image_long: float
    cost_ratio: float


def stream(world: World, images: int, folder: Path) -> Streaming:
    """Read ``images`` products through the public iterator, at the size of preset ``smoke``, and watch the memory."""
    extractor = our_extractor(PRESETS["smoke"].llm, world)
    cache = FeatureCache(folder, world.tower)  # else encoding the few photos would weigh on the short catalogue alone
    short = max(images // 20, 512)
    process = psutil.Process()
    for _ in _stream(extractor, world, short, cache):
        pass  # everything is loaded and warm from here on
    start = time.perf_counter()
    for _ in _stream(extractor, world, short, cache):
        pass
    per_short = 1e3 * (time.perf_counter() - start) / short
    resident: list[float] = []
    start = time.perf_counter()
    for number, _ in enumerate(_stream(extractor, world, images, cache)):
        if number % _EVERY == 0:
            resident.append(process.memory_info().rss / 2**20)
    seconds = time.perf_counter() - start
    settled = resident[len(resident) // 5 :]
    slope = np.polyfit(np.arange(len(settled)) * _EVERY / 1e4, settled, 1)[0] if len(settled) > 1 else 0.0
    per_long = 1e3 * seconds / images
    return Streaming(
        images=images,
        memory_growth_mb=max(settled) - settled[0],
        memory_slope_mb_per_10k=float(slope),
        memory_mb=settled[-1],
        images_per_second=images / seconds,
        short_catalogue=short,
        ms_per_image_short=per_short,
        ms_per_image_long=per_long,
        cost_ratio=per_long / per_short,
    )


def _stream(extractor: Extractor, world: World, images: int, cache: FeatureCache) -> Iterator[object]:
    return extractor.stream(islice(cycle(world.photos), images), islice(cycle(world.titles), images), cache=cache)
