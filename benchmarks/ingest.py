"""How near is ingest to the speed of decoding, and does it stay so at a million products?

    python -m benchmarks.ingest --json ingest.json [--rounds 3] [--myntra data/raw/myntra-small] [--hm data/raw/hm]
    python -m benchmarks.ingest --json scale.json --scale 1000000

The first measures ``ratio_to_bare_decode``: wall time of ``catalog.build`` from cold (no cache, no worker running) over
that of two processes that do nothing but read, decode, hash (SHA-256) and perceptually hash the same files, both in
turns, the median of the rounds; the worse of the two sets. And ``draft_speedup``: an 1800 x 2400 JPEG read for a side
of 224. ``growth``: of the first set's products 99 of 100 are ingested, the same again, then all; how much of a cold
ingest of all the last costs (``grown_share``), and how much the one without any change (``unchanged_share``: every row
is read and placed anew, no photo). Exit status 1 when the ratio is above ``BOUND``.

The second draws as many distinct 16 x 16 JPEGs, builds a catalogue of the first 40,000, of all, and of the 40,000 once
more, each in a process of its own, and writes ``items.jsonl``. The time per row is compared with the mean of the two
small runs, by the clock and in processor seconds (which other programs on the machine disturb less). Memory is the
resident sets of that process and its workers, added up (pages that they share count for each), sampled every 0.2 s.
Exit status 1 above 1.5 GiB, or above 1.3 times the time per row by the clock.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fvrec import catalog
from fvrec.artifacts import atomic_write
from fvrec.imaging import INSPECTED_SIDE, read_image
from fvrec.parallel import Progress
from fvrec.perceptual import perceptual_hash
from fvrec.records import AttributeValue, Quarantined
from fvrec.sources import open_source
from fvrec.sources.base import RawRow, Source, complete

BOUND, SCALE_BOUND, MEMORY_BOUND = 1.4, 1.3, 1.5 * 2**30
SMALL = 40_000
PROCESSES = 2
_A_FOLDER = 1_000


@dataclass(frozen=True)
class Race:
    """Seconds of both sides on one set, round by round."""

    rows: int
    photos: int
    bare_s: list[float]
    build_s: list[float]

    @property
    def ratio(self) -> float:
        return statistics.median(self.build_s) / statistics.median(self.bare_s)


@dataclass(frozen=True)
class Sized:
    """One catalogue of the second measurement."""

    rows: int
    seconds: float
    write_s: float
    cpu_s: float
    """User and system time of the process and of its workers."""
    peak_bytes: int

    @property
    def seconds_per_row(self) -> float:
        return (self.seconds + self.write_s) / self.rows

    @property
    def cpu_per_row(self) -> float:
        return self.cpu_s / self.rows


class DrawnPhotos:
    """A source of ``folder/NNN/id.jpg``: one product a photo, each of its own design."""

    name, supervised_fields = "drawn", ("color",)

    def __init__(self, folder: Path, count: int) -> None:
        self.raw_dir, self._count = folder, count

    def discover(self) -> None:
        """Nothing is asked of it."""

    def prepare(self, progress: Progress = iter) -> None:
        """The photos are there; see ``draw``."""

    def rows(self) -> Iterator[RawRow]:
        red = complete({"color": AttributeValue("red", "source")})
        for at in range(self._count):
            yield RawRow(str(at), f"design {at}", place(self.raw_dir, at), f"Product {at}", "", {"id": str(at)}, red)

    def manifest(self) -> dict[str, Any]:
        return {"source": self.name}


def place(folder: Path, at: int) -> Path:
    return folder / f"{at // _A_FOLDER:04d}" / f"{at}.jpg"


def draw(folder: Path, first: int, count: int) -> None:
    """Photos ``first`` to ``count - 1``: coloured noise, no two alike."""
    for at in range(first, count):
        if at % _A_FOLDER == 0 or at == first:
            place(folder, at).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(at).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place(folder, at), "JPEG", quality=60)


def race(name: str, raw_dir: Path, rounds: int) -> Race:
    """Both sides in turns. The first reading of all files, which fills the page cache, is not measured."""
    files = [str(row.image_path) for row in open_source(name, raw_dir).rows() if isinstance(row, RawRow)]
    files = [file for file in files if Path(file).is_file()]
    for file in files:
        Path(file).read_bytes()
    bare, built, rows = [], [], 0
    for _ in range(rounds):
        bare.append(seconds(lambda: bare_decode(files)))
        started = time.perf_counter()
        rows = catalog.build(open_source(name, raw_dir), root=raw_dir, workers=PROCESSES).rows_in
        built.append(time.perf_counter() - started)
        print(f"{name}: bare {bare[-1]:.2f} s, build {built[-1]:.2f} s", flush=True)
    return Race(rows, len(files), bare, built)


def bare_decode(files: Sequence[str]) -> int:
    """The least that any ingest has to do, in two processes; how many photos it could read."""
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        return sum(pool.imap(_bare_one, files, chunksize=128))


def _bare_one(file: str) -> bool:
    try:
        data = Path(file).read_bytes()
        hashlib.sha256(data).digest()
        image = Image.open(BytesIO(data))
        image.draft("RGB", (INSPECTED_SIDE, INSPECTED_SIDE))
        perceptual_hash(image.convert("RGB"))
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Growth:
    """Processor seconds of ingests in the order they were made: most rows, the same again, all; and all from cold."""

    rows: int
    new_rows: int
    most_s: float
    unchanged_s: float
    grown_s: float
    cold_s: float

    @property
    def unchanged_share(self) -> float:
        return self.unchanged_s / self.cold_s

    @property
    def grown_share(self) -> float:
        return self.grown_s / self.cold_s


class Fewer:
    """A source without every ``STEP``th of its rows, or with ``whole`` all of them."""

    STEP = 100

    def __init__(self, source: Source, *, whole: bool) -> None:
        self._source, self._whole = source, whole

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def rows(self) -> Iterator[RawRow | Quarantined]:
        return (row for at, row in enumerate(self._source.rows()) if self._whole or at % self.STEP)


def growth(name: str, raw_dir: Path) -> Growth:
    """Ingests one after the other with one memory of photos, then one with none."""
    with tempfile.TemporaryDirectory() as memory:
        built = [_grown(name, raw_dir, Path(memory) / folder, whole=whole)
                 for folder, whole in (("kept", False), ("kept", False), ("kept", True), ("cold", True))]  # fmt: skip
    (most, _), (_, unchanged), (all_rows, grown), (_, cold) = built
    return Growth(all_rows, all_rows - most, built[0][1], unchanged, grown, cold)


def _grown(name: str, raw_dir: Path, memory: Path, *, whole: bool) -> tuple[int, float]:
    started = sum(os.times()[:4])
    source = Fewer(open_source(name, raw_dir), whole=whole)
    rows = catalog.build(source, root=raw_dir, workers=PROCESSES, cache=memory).rows_in
    return rows, sum(os.times()[:4]) - started


def draft_speedup(rounds: int = 7) -> float:
    """How many times faster a large JPEG is read when it is wanted small."""
    grain = np.random.default_rng(7).integers(0, 256, (75, 100, 3), dtype=np.uint8)
    photo = Image.fromarray(grain).resize((1800, 2400), Image.Resampling.BICUBIC)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.jpg"
        photo.save(path, quality=90)
        whole = [seconds(lambda: read_image(path).resize((224, 224))) for _ in range(rounds)]
        small = [seconds(lambda: read_image(path, at_least=224).resize((224, 224))) for _ in range(rounds)]
    return statistics.median(whole) / statistics.median(small)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def build_drawn(folder: Path, count: int) -> dict[str, float]:
    """In the process that is measured: one catalogue, and its file."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        started = time.perf_counter()
        found = catalog.build(DrawnPhotos(folder, count), root=folder, workers=PROCESSES, cache=Path(made) / "cache")
        built = time.perf_counter()
        catalog.write_items(Path(made) / "items.jsonl", found.items)
        wrote = time.perf_counter()
    spent = sum(os.times()[:4])
    return {"seconds": built - started, "write_s": wrote - built, "cpu_s": spent, "rows": len(found.items)}


def measured(folder: Path, count: int) -> Sized:
    """``build_drawn`` in a fresh process, its memory watched from here."""
    body, peak = watched("benchmarks.ingest", "--drawn", str(folder), "--count", str(count))
    if body["rows"] != count:
        raise SystemExit(f"{count} photos, {body['rows']} items")
    return Sized(count, body["seconds"], body["write_s"], body["cpu_s"], peak)


def watched(module: str, *arguments: str) -> tuple[dict[str, Any], int]:
    """Run a module in a fresh process: the JSON of its last line, and the most bytes that it and all below it held.

    Looked at every .2 s. SystemExit when it does not end well.
    """
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.2)
        output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    body: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return body, peak


def resident(pid: int) -> int:
    """Bytes in memory of a process and all below it."""
    total = 0
    with suppress(OSError, ValueError):
        total = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(resident(int(child)) for child in (task / "children").read_text().split())
    return total


def scale(count: int, work: Path | None) -> dict[str, Any]:
    """The small catalogue before and after the large one, so that a machine that slows down is seen in both."""
    fewer = min(SMALL, count)
    with tempfile.TemporaryDirectory(dir=work) as temporary:
        folder = Path(temporary) / "photos"
        draw(folder, 0, count)
        before, large, after = (measured(folder, rows) for rows in (fewer, count, fewer))
    small = (before, after)
    ratio = large.seconds_per_row / statistics.mean(one.seconds_per_row for one in small)
    return {"small": [asdict(one) for one in small], "large": asdict(large), "time_per_row_ratio": ratio,
            "cpu_per_row_ratio": large.cpu_per_row / statistics.mean(one.cpu_per_row for one in small),
            "peak_gib": large.peak_bytes / 2**30,
            "holds": ratio <= SCALE_BOUND and large.peak_bytes <= MEMORY_BOUND}  # fmt: skip


def compare(sets: Mapping[str, Path], rounds: int) -> dict[str, Any]:
    races = {name: race(name, folder, rounds) for name, folder in sets.items()}
    worst = max(found.ratio for found in races.values())
    grown = growth(*next(iter(sets.items())))
    return {"ratio_to_bare_decode": worst, "draft_speedup": draft_speedup(), "holds": worst <= BOUND,
            "growth": {**asdict(grown), "unchanged_share": grown.unchanged_share, "grown_share": grown.grown_share},
            "sets": {name: {**asdict(found), "ratio": found.ratio} for name, found in races.items()}}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the numbers go")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--myntra", type=Path, default=Path("data/raw/myntra-small"))
    parser.add_argument("--hm", type=Path, default=Path("data/raw/hm"))
    parser.add_argument("--scale", type=int, help="how many photos to draw and build a catalogue of")
    parser.add_argument("--work", type=Path, help="folder for the drawn photos (default: the system's)")
    parser.add_argument("--drawn", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.drawn:
        print(json.dumps(build_drawn(options.drawn, options.count)))
        return 0
    sets = {"myntra": options.myntra, "hm": options.hm}
    body = scale(options.scale, options.work) if options.scale else compare(sets, options.rounds)
    print(json.dumps(body, indent=2))
    if options.json:
        atomic_write(options.json, json.dumps(body, indent=2) + "\n")
    return 0 if body["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
