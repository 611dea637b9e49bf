"""An hour of questions to the page's service: does its memory stay where it was?

    python -m tests.faults.soak --minutes 60 --json /tmp/soak.json

Visitors ask in both languages, with and without standing constraints, by every strategy, now and then with a picture or
all strategies at once, look at thumbnails, and now and then a new snapshot is published, which the service is opened
anew on as the page does (it keeps two). The catalogue is generated (``benchmarks.page_world``). Memory is the resident
set, sampled each second from when three snapshots have come and gone; it is flat when its least-squares line rises by
less than ``GROWTH`` of where it stands in an hour. After each question comes what Streamlit does after a run of the
page: a full collection, which ``app/memory.py`` keeps short. Exit status 1 when it is not, or when an answer
fails. Short: ``tests/faults/test_soak.py``.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import psutil

from app import memory
from app.listing import Query
from app.service import DemoService
from benchmarks.ask import SOURCE, Questions, products
from benchmarks.page_world import build
from fvrec.artifacts import atomic_write
from fvrec.config import STRATEGIES, Settings
from fvrec.errors import FvrecError
from warehouse.db import publish

GROWTH = 0.03
SERVICES = 2
"""As many as the page keeps (``app/frame.py``)."""
SETTLED_AFTER = 3
PICTURE_EVERY, COMPARED_EVERY = 20, 15


@dataclass(frozen=True)
class Soaked:
    """What was asked and how memory went, in MB; ``slope_mb_per_hour`` from when it had settled."""

    questions: int
    publications: int
    errors: tuple[str, ...]
    median_ms: float
    p95_ms: float
    first_mb: float
    last_mb: float
    highest_mb: float
    slope_mb_per_hour: float
    watched_s: float

    @property
    def flat(self) -> bool:
        return self.slope_mb_per_hour < GROWTH * self.first_mb

    @property
    def holds(self) -> bool:
        return self.flat and not self.errors and self.questions > 0


class Page:
    """The services that a page would hold: one a snapshot, the newest two."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._services: OrderedDict[Path, DemoService] = OrderedDict()

    def service(self) -> DemoService:
        snapshot = self._settings.snapshot.resolve()
        if snapshot not in self._services:
            memory.look_again_soon()
            self._services[snapshot] = DemoService.open(self._settings)
            while len(self._services) > SERVICES:
                self._services.popitem(last=False)
        return self._services[snapshot]


def ask(page: Page, number: int, questions: Questions, picture: bytes, rng: random.Random) -> None:
    """One visitor's line, and what the page shows of the answer."""
    memory.spare()
    service = page.service()
    query = Query(
        SOURCE,
        questions.texts[number % len(questions.texts)],
        strategy=STRATEGIES[number % len(STRATEGIES)],
        diversity=rng.choice((0.0, 0.3, 0.6, 1.0)),
        picture=picture if number % PICTURE_EVERY == 0 else None,
    )
    if number % COMPARED_EVERY == 0:
        service.compare(query)
        return
    listing = service.ask(query)
    for card in listing.cards[:3]:
        service.picture(card.ranked.item)
    if listing.cards and number % 3 == 0:
        service.ask(replace(query, text="cheaper, not black", standing=listing.answer.constraints))


def soak(root: Path, *, minutes: float, items: int, per_second: float, publish_every_s: float, seed: int) -> Soaked:
    """Ask until the time is over, at most ``per_second`` times a second."""
    settings = build(root, items, seed)
    questions, rng, page = Questions(products(2000, seed), 200, seed), random.Random(seed), Page(settings)
    picture = next((root / "photos").iterdir()).read_bytes()
    process, end = psutil.Process(), time.monotonic() + 60.0 * minutes
    taken, errors, levels = [], [], list[tuple[float, float]]()
    publications, number, next_publication, next_sample = 0, 0, time.monotonic() + publish_every_s, 0.0
    while (now := time.monotonic()) < end:
        if now >= next_publication:
            publish(settings.database, settings.snapshot)
            publications, next_publication = publications + 1, now + publish_every_s
        begin = time.perf_counter()
        try:
            ask(page, number, questions, picture, rng)
        except FvrecError as error:
            errors.append(str(error))
        gc.collect()
        taken.append(1e3 * (time.perf_counter() - begin))
        number += 1
        if publications >= SETTLED_AFTER and now >= next_sample:
            levels.append((now, process.memory_info().rss / 2**20))
            next_sample = now + 1.0
        time.sleep(max(0.0, 1.0 / per_second - (time.perf_counter() - begin)))
    if len(levels) < 2:
        raise SystemExit("too short: memory had not settled before the end")
    at, level = np.array(levels).T
    return Soaked(
        questions=number,
        publications=publications,
        errors=tuple(errors[:10]),
        median_ms=float(np.median(taken)),
        p95_ms=float(np.percentile(taken, 95)),
        first_mb=float(np.median(level[: max(1, len(level) // 10)])),
        last_mb=float(np.median(level[-max(1, len(level) // 10) :])),
        highest_mb=float(level.max()),
        slope_mb_per_hour=float(np.polyfit(at - at[0], level, 1)[0] * 3600.0),
        watched_s=float(at[-1] - at[0]),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--per-second", type=float, default=5.0)
    parser.add_argument("--publish-every", type=float, default=120.0, help="seconds")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, help="where the numbers go")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = soak(
            Path(folder) / "root", minutes=options.minutes, items=options.items, per_second=options.per_second,
            publish_every_s=options.publish_every, seed=options.seed,
        )  # fmt: skip
    body = json.dumps({"items": options.items, **asdict(found), "flat": found.flat, "holds": found.holds}, indent=2)
    print(body)
    if options.json:
        atomic_write(options.json, body + "\n")
    return 0 if found.holds else 1


if __name__ == "__main__":
    sys.exit(main())
