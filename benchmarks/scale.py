"""What does an item cost in each stage, and does it stay so as the catalogue grows?

    python -m benchmarks.scale --json scale.json [--sizes 1000 10000 100000] [--most features=10000 extract=10000]

Every stage at every size runs in a process of its own, whose memory (with its workers' shares) is sampled; what it
takes from imports and loading a model is not counted. Stages, each on ``N`` distinct products:

- ``ingest``: drawn JPEGs of 168 x 224 -> ``items.jsonl``: decode, hash, group, split, check, two workers, no memory.
- ``load``: items with ten attributes -> the live warehouse; ``load_read``: what a model read of them.
- ``features``: the photos -> tower features in float16, Lite0, 16 cells in four tokens and two that sum up.
- ``extract``: a title and cached features -> constrained JSON with confidences, random weights of the size of ``tiny``.
- ``publish``: one snapshot of the warehouse.
- ``sql``: the 100 items that meet a request, from the snapshot; milliseconds a request.
- ``rerank``: judge, score and order 1,000 given candidates of a catalogue of N that lies in memory; milliseconds a
  request.
- ``evaluate``: RL evaluation, N lists of ten from pools of fifty by MMR and their scores: what a list costs.

``slope`` is that of log(processor seconds) over log(N) between the two largest sizes, where starting up weighs least.
Exit status 1 when one of ``LINEAR`` was measured at less than two sizes or is above ``STEEPEST``, or when ``rerank`` at
the largest size takes more than ``RERANK_BOUND`` times that at the smallest.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.ingest import DrawnPhotos, place, watched
from fvrec.artifacts import atomic_write
from fvrec.records import Item

LINEAR = ("ingest", "features", "extract", "load", "load_read")
STEEPEST, RERANK_BOUND = 1.05, 1.5
PHOTO = (168, 224)
REQUESTS = 60
VECTOR = 64
"""Length of a product's vector in ``rerank``, so that a large catalogue's fit in memory."""
PHOTOGRAPHED = frozenset({"ingest", "features", "extract"})
"""Stages that read the drawn photos."""
_CHUNK = 10_000
_GRAIN = 14


@dataclass(frozen=True)
class Cost:
    """One stage at one size. ``disk_bytes``: what it left; ``per_request_ms``: where requests are asked, the median."""

    stage: str
    items: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    disk_bytes: int = 0
    per_request_ms: float = 0.0


@dataclass
class Meter:
    """Filled by ``measuring``."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0


@contextmanager
def measuring() -> Iterator[Meter]:
    """Seconds by the clock and of the processors, workers that ended included."""
    meter, clock, cpu = Meter(), time.perf_counter(), sum(os.times()[:4])
    yield meter
    meter.seconds, meter.cpu_seconds = time.perf_counter() - clock, sum(os.times()[:4]) - cpu


def draw(folder: Path, first: int, last: int) -> None:
    """Photos ``first`` to ``last - 1``: soft coloured patches, no two alike, as heavy as a shop's thumbnail."""
    for at in range(first, last):
        place(folder, at).parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(at).integers(0, 256, (PHOTO[1] // _GRAIN, PHOTO[0] // _GRAIN, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(PHOTO, Image.Resampling.BILINEAR).save(place(folder, at), "JPEG", quality=85)


def products(count: int) -> Iterator[Item]:
    """As many items with all that a shop knows of them, made piece by piece."""
    from benchmarks.ask import products as made

    for number, start in enumerate(range(0, count, _CHUNK)):
        for item in made(min(_CHUNK, count - start), seed=number):
            name = f"{number:03d}{item.item_id}"
            yield replace(item, item_id=name, group_id=name, image_sha256=name)


def ingest(work: Path, count: int) -> Meter:
    from fvrec import catalog

    with measuring() as meter:
        found = catalog.build(DrawnPhotos(work / "photos", count), root=work / "photos", workers=2)
        catalog.write_items(work / f"items-{count}.jsonl", found.items)
    if len(found.items) != count:
        raise SystemExit(f"{count} photos, {len(found.items)} items")
    return meter


def load(work: Path, count: int) -> Meter:
    from warehouse import write
    from warehouse.db import migrate

    live = _live(work, count)
    migrate(live)
    list(products(1))  # imports
    with measuring() as made:
        for _ in products(count):
            pass
    with measuring() as meter:
        write.save_items(live, "generated", products(count), [])
    return Meter(meter.seconds - made.seconds, meter.cpu_seconds - made.cpu_seconds)


def load_read(work: Path, count: int) -> Meter:
    from benchmarks.ask import readings
    from fvrec.records import Run, utc_now
    from warehouse import write

    read, now = readings(list(products(count)), seed=1), utc_now()
    live = _live(work, count)
    write.save_run(live, Run("extract", "extraction", "extract", "tiny", "generated", "", {}, now, now, "complete"))
    with measuring() as meter:
        write.save_predictions(live, "extract", read)
    return meter


def features(work: Path, count: int) -> Meter:
    from fvrec.artifacts import digest_bytes
    from fvrec.vlm.features import FeatureCache
    from fvrec.vlm.towers import load_tower

    photos = [place(work / "photos", at) for at in range(count)]
    named = {digest_bytes(photo.read_bytes()): photo for photo in photos}
    cache = FeatureCache(work / f"features-{count}", load_tower("lite0", pool=4))
    cache.tower.encode(np.zeros((1, cache.tower.image_size, cache.tower.image_size, 3), dtype=np.uint8))
    with measuring() as meter:
        cache.ensure(named)
    return meter


def extract(work: Path, count: int) -> Meter:
    from benchmarks.extraction_world import World, our_extractor
    from fvrec.artifacts import digest_bytes
    from fvrec.config import PRESETS
    from fvrec.prompts import extraction_messages
    from fvrec.vlm.features import FeatureCache
    from fvrec.vlm.images import HeldFeatures
    from fvrec.vlm.samples import Sample
    from fvrec.vlm.towers import load_tower

    tower = load_tower("lite0", pool=4)
    cache = FeatureCache(work / f"features-{count}", tower)
    titles = [item.title for item in islice(products(count), count)]
    photos = [digest_bytes(place(work / "photos", at).read_bytes()) for at in range(count)]
    samples = [
        Sample(str(at), "image_title", tuple(extraction_messages(title, "", with_image=True)), "", photo)
        for at, (title, photo) in enumerate(zip(titles, photos, strict=True))
    ]
    world = World(samples[:_CHUNK], HeldFeatures({}), [], titles[:_CHUNK], tower)
    extractor = our_extractor(PRESETS["tiny"].llm, world)
    extractor.read(samples[:256], cache)
    with measuring() as meter:
        for start in range(0, count, _CHUNK):
            extractor.read(samples[start : start + _CHUNK], cache)
    return meter


def publish(work: Path, count: int) -> Meter:
    from warehouse.db import publish as make

    with measuring() as meter:
        make(_live(work, count), _snapshot(work, count))
    return meter


def sql(work: Path, count: int) -> tuple[Meter, float]:
    import duckdb

    from benchmarks import warehouse

    with duckdb.connect(str(_snapshot(work, count)), read_only=True) as connection:
        asked = [warehouse.filter_sql(text) for text in warehouse.REQUESTS]
        for statement, values in asked:
            connection.execute(statement, values).fetchall()

        def ask(index: int) -> None:
            statement, values = asked[index % len(asked)]
            connection.execute(statement, values).fetchall()

        return _requests(ask)


def rerank(work: Path, count: int) -> tuple[Meter, float]:
    from benchmarks.ask import Questions, readings, rerank_ms, vectors
    from fvrec.rerank.table import candidate_set

    items = list(products(count))
    everything = candidate_set(items, readings(items, 1), vectors(count, VECTOR, 1))
    asked = Questions(items[:1000], REQUESTS, seed=1)
    rows = np.sort(np.random.default_rng(0).permutation(count)[:1000])
    with measuring() as meter:
        found = rerank_ms(everything, asked.texts, rows)
    return meter, found


def evaluate(work: Path, count: int) -> Meter:
    from fvrec.rl.bank import Bank
    from fvrec.rl.compare import diversifier, without_truth
    from fvrec.rl.requests import RequestSampler
    from fvrec.rl.reward import RewardConfig
    from fvrec.rl.scoring import score_lists
    from fvrec.rl.synthetic import synthetic_items
    from fvrec.rl.users import sample_population

    table = synthetic_items(2000, seed=1)
    people = sample_population(table, n=1000, split="test", seed=1)
    requests = RequestSampler(table, people.users, 50, people.interactions).of_every_user(seed=1)
    ranker = diversifier("mmr", 0.8)
    with measuring() as meter:
        for start in range(0, count, len(requests)):
            some = requests[: count - start]
            score_lists(some, list(ranker(without_truth(Bank.of(some, None)), 10)), RewardConfig())
    return meter


def _requests(ask: Callable[[int], object]) -> tuple[Meter, float]:
    from benchmarks.ask import times_ms

    with measuring() as meter:
        found = times_ms(ask, REQUESTS)
    return meter, float(np.median(found))


STAGES: Mapping[str, Callable[[Path, int], Meter | tuple[Meter, float]]] = {
    one.__name__: one for one in (ingest, load, load_read, features, extract, publish, sql, rerank, evaluate)
}
_LEFT = {
    "ingest": "items-{}.jsonl", "load": "live-{}.duckdb", "load_read": "live-{}.duckdb", "features": "features-{}",
    "publish": "snapshot-{}",
}  # fmt: skip
"""stage -> what it leaves in the work folder."""


def _live(work: Path, count: int) -> Path:
    return work / f"live-{count}.duckdb"


def _snapshot(work: Path, count: int) -> Path:
    return work / f"snapshot-{count}" / "current.duckdb"


def measured(stage: str, work: Path, count: int) -> Cost:
    """One stage at one size in a fresh process, its memory watched from here."""
    body, peak = watched("benchmarks.scale", "--stage", stage, "--count", str(count), "--work", str(work))
    left = work / _LEFT[stage].format(count) if stage in _LEFT else None
    return Cost(stage, count, body["seconds"], body["cpu_seconds"], peak, _bytes(left), body["per_request_ms"])


def _bytes(path: Path | None) -> int:
    """What a file or a folder takes; links count nothing."""
    if path is None:
        return 0
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file() and not file.is_symlink())


def slope(costs: Sequence[Cost]) -> float:
    """Of log(processor seconds) over log(items) between the two largest sizes; 1 where an item costs the same at both.

    SystemExit when a time is too short for the processor's clock.
    """
    small, large = sorted(costs, key=lambda one: one.items)[-2:]
    if min(small.cpu_seconds, large.cpu_seconds) <= 0:
        raise SystemExit(f"{small.stage}: {small.items} items take no time that can be measured")
    return float(np.log(large.cpu_seconds / small.cpu_seconds) / np.log(large.items / small.items))


def summarise(costs: Sequence[Cost]) -> dict[str, Any]:
    """Slopes of the stages that go over all items, what a request costs as the catalogue grows, and what holds."""
    by_stage = {name: [one for one in costs if one.stage == name] for name in STAGES}
    several = {name: found for name, found in by_stage.items() if len(found) > 1}
    slopes = {name: slope(found) for name, found in several.items() if name in LINEAR}
    asked = {name: found[-1].per_request_ms / found[0].per_request_ms for name, found in several.items()
             if found[0].per_request_ms}  # fmt: skip
    unjudged = [name for name in LINEAR if by_stage[name] and name not in slopes]
    steep = [name for name, found in slopes.items() if found > STEEPEST]
    holds = not steep and not unjudged and asked.get("rerank", 0.0) <= RERANK_BOUND
    return {"costs": [asdict(one) for one in costs], "slopes": slopes, "unjudged": unjudged, "request_growth": asked,
            "holds": holds}  # fmt: skip


def show(costs: Sequence[Cost]) -> None:
    for one in costs:
        print(
            f"{one.stage:10} {one.items:9,d}  {1e3 * one.cpu_seconds / one.items:9.4f} ms an item (processor)"
            f"  {one.seconds:8.2f} s  {one.peak_bytes / 2**20:7.0f} MiB  {one.disk_bytes / one.items:8.0f} bytes each"
            + (f"  {one.per_request_ms:.2f} ms a request" if one.per_request_ms else ""),
            flush=True,
        )


def _limit(text: str) -> tuple[str, int]:
    name, _, count = text.partition("=")
    if name not in STAGES or not count.isdigit():
        raise argparse.ArgumentTypeError(f"not STAGE=ITEMS: {text}")
    return name, int(count)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the numbers go")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--stages", nargs="+", choices=[*STAGES], default=[*STAGES])
    parser.add_argument("--most", type=_limit, nargs="*", default=[("features", 10_000), ("extract", 10_000)])
    parser.add_argument("--work", type=Path, help="folder for what is made (default: the system's)")
    parser.add_argument("--stage", choices=[*STAGES], help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.stage:
        found = STAGES[options.stage](options.work, options.count)
        meter, per_request = found if isinstance(found, tuple) else (found, 0.0)
        print(json.dumps({**asdict(meter), "per_request_ms": per_request}))
        return 0
    most, costs, drawn = dict(options.most), [], 0
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        work = Path(folder)
        for count in sorted(options.sizes):
            wanted = [stage for stage in options.stages if count <= most.get(stage, count)]
            if PHOTOGRAPHED & set(wanted):
                draw(work / "photos", drawn, count)
                drawn = count
            for stage in wanted:
                costs.append(measured(stage, work, count))
                show(costs[-1:])
    body = summarise(costs)
    print(json.dumps({name: value for name, value in body.items() if name != "costs"}, indent=2))
    if options.json:
        atomic_write(options.json, json.dumps(body, indent=1) + "\n")
    return 0 if body["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
