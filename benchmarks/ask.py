"""How long does a question take in a warm process? Asked of 50,000 generated products, in memory and from a warehouse.

    python -m benchmarks.ask --json ask.json [--items 50000] [--questions 200] [--seed 7]

Products have titles, descriptions, all ten attributes (some unknown) with confidences, and vectors as long as those of
the tower. Questions are generated in both languages with one to four constraints, a third of them with words that no
lexicon knows; ``BaseRank`` and ``Mmr`` take turns; every list of ten is explained. Written, by key:

- ``ask_p95_ms``: from the text to the answer, the slower of the two stores (``ask_memory_p95_ms``,
  ``ask_warehouse_p95_ms``: that one filters by SQL).
- ``ask_with_picture_p95_ms``: the same with a reference picture, from the bytes of a JPEG (decode, tower, ask); the
  reading of its attributes by a trained model comes on top. ``ask_with_vector_p95_ms``: from its vector.
- ``parse_p95_ms``; ``rerank_1000_ms``: judge, score, order and pool of 1,000 candidates, the median.
- ``load_s``: from the snapshot to the first answer.

Exit status 1 when a time is above its bound (``BOUNDS``).
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fvrec.artifacts import atomic_write
from fvrec.imaging import decode_image
from fvrec.records import AttributeValue, CandidateSet, Embedding, Item, Prediction, Run, utc_now
from fvrec.rerank.ask import CandidateStore, FixedStore, ask
from fvrec.rerank.constraints import parse
from fvrec.rerank.diversify import BaseRank, Mmr
from fvrec.rerank.queries import generate
from fvrec.rerank.score import ScoreWeights, judge, score, to_pool
from fvrec.rerank.shortlist import shortlist
from fvrec.rerank.table import candidate_set, table_of
from fvrec.schema import FIELDS, UNKNOWN, VALUES
from fvrec.vlm.features import pooled
from fvrec.vlm.pixels import to_pixels
from fvrec.vlm.towers import Tower, load_tower
from warehouse import write
from warehouse.db import migrate, publish
from warehouse.read import Warehouse
from warehouse.store import SnapshotStore

BOUNDS = {"ask_p95_ms": 150.0, "ask_with_picture_p95_ms": 400.0, "parse_p95_ms": 1.0, "rerank_1000_ms": 5.0}
SOURCE, RUN, TOWER = "generated", "run", "lite0"
VARIANT: dict[str, Any] = {"model": "lora", "inputs": "image_title", "mode": "raw"}
_UNKNOWN_SHARE = 0.3
_EXTRA = ("", "", " with pockets 口袋")
_WORDS = (
    "fine",
    "woven",
    "brand",
    "classic",
    "new",
    "slim",
    "city",
    "garden",
    "river",
    "stone",
    "口袋",
    "新款",
    "经典",
)


def products(count: int, seed: int) -> list[Item]:
    """Items whose titles name some of their attributes, beside words of no meaning."""
    rng = np.random.default_rng(seed)
    codes = {field: rng.integers(len(VALUES[field]) - 1, size=count) for field in FIELDS}
    known = rng.random((count, len(FIELDS))) >= _UNKNOWN_SHARE
    known[:, 0] = True
    words = rng.integers(len(_WORDS), size=(count, 12))
    return [
        _product(
            index, {f: VALUES[f][codes[f][index]] for at, f in enumerate(FIELDS) if known[index, at]}, words[index]
        )
        for index in range(count)
    ]


def _product(index: int, values: dict[str, str], words: NDArray[np.int64]) -> Item:
    said = [_WORDS[word] for word in words]
    named = (values.get("color", ""), values["category"].replace("_", " "))
    nothing = AttributeValue(UNKNOWN, "unknown")
    attributes = {f: AttributeValue(values[f], "source") if f in values else nothing for f in FIELDS}
    name, title = f"g{index:06d}", " ".join([*said[:3], *named, str(index % 977)])
    return Item(name, SOURCE, name, "test", f"{name}.jpg", name, title, " ".join(said[3:]), {}, attributes)


def readings(items: Sequence[Item], seed: int) -> list[Prediction]:
    """What a model read of them: the truth, with drawn confidences."""
    sure = np.random.default_rng(seed).uniform(0.3, 1.0, (len(items), len(FIELDS))).round(2).tolist()
    return [
        Prediction(
            item_id=item.item_id,
            **VARIANT,
            raw_output="{}",
            json_valid=True,
            schema_valid=True,
            attributes=item.values,
            confidence=dict(zip(FIELDS, row, strict=True)),
        )
        for item, row in zip(items, sure, strict=True)
    ]


def vectors(count: int, width: int, seed: int) -> NDArray[np.float32]:
    """``[N, D]`` of length 1."""
    rows = np.random.default_rng(seed).standard_normal((count, width), dtype=np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def fill_warehouse(folder: Path, items: Sequence[Item], read: Sequence[Prediction], rows: NDArray[np.float32]) -> Path:
    """A published snapshot that holds them; its path."""
    live, snapshot = folder / "live.duckdb", folder / "current.duckdb"
    migrate(live)
    write.save_items(live, SOURCE, items, [])
    now = utc_now()
    write.save_run(live, Run(RUN, "extraction", "extract", "tiny", SOURCE, "", {}, now, now, "complete"))
    write.save_predictions(live, RUN, read)
    write.save_embeddings(live, SOURCE, _embeddings(items, rows))
    publish(live, snapshot)
    return snapshot


def _embeddings(items: Sequence[Item], rows: NDArray[np.float32]) -> Iterator[Embedding]:
    for item, row in zip(items, rows, strict=True):
        yield Embedding(item.item_id, TOWER, tuple(row.tolist()))


def times_ms(call: Callable[[int], object], count: int) -> NDArray[np.float64]:
    """Milliseconds of ``call(0)`` to ``call(count - 1)``."""
    taken = []
    for index in range(count):
        begin = time.perf_counter()
        call(index)
        taken.append((time.perf_counter() - begin) * 1e3)
    return np.array(taken)


class Questions:
    """The questions, and what can be done with each."""

    def __init__(self, items: Sequence[Item], count: int, seed: int) -> None:
        made = generate(items[:2000], FIELDS, n=count, seed=seed)
        self.texts = [query.text + _EXTRA[index % len(_EXTRA)] for index, query in enumerate(made)]
        self.rankers = (BaseRank(), Mmr())

    def ask(self, store: CandidateStore, index: int, reference: NDArray[np.float32] | None = None) -> None:
        weights = ScoreWeights(expected=True)
        ask(store, self.texts[index], ranker=self.rankers[index % 2], reference=reference, weights=weights)

    def ask_like(self, store: CandidateStore, index: int, picture: bytes, tower: Tower) -> None:
        pixels = np.stack([to_pixels(decode_image(picture, at_least=tower.image_size), tower.image_size)])
        self.ask(store, index, pooled(tower.encode(pixels), tower)[0])


def rerank_ms(candidates: CandidateSet, texts: Sequence[str], given: NDArray[np.int64] | None = None) -> float:
    """The median over the texts of judging, scoring and ordering the ``given`` rows (None: all) into a pool of 100."""
    table, weights = table_of(candidates), ScoreWeights(expected=True)
    few = np.arange(len(table.item_ids)) if given is None else given
    base = np.random.default_rng(0).random(len(few))
    requests = [parse(text) for text in texts]

    def rerank(index: int) -> None:
        confidence = None if table.confidence is None else table.confidence[few]
        judgement = judge(table.values[few], requests[index], confidence)
        scores = score(base, judgement, weights)
        places = shortlist(scores, np.flatnonzero(judgement.breaks_none), k=10, size=100).rows
        rows = few[places]
        ids = [table.item_ids[row] for row in rows]
        to_pool(ids, table.values[rows], table.embeddings[rows], scores[places], judgement.rows(places), weights)

    return float(np.median(times_ms(rerank, len(texts))))


def measure(items: int, questions: int, seed: int, folder: Path) -> dict[str, float]:
    """Every number, by key."""
    catalogue, tower = products(items, seed), load_tower(TOWER)
    read, rows = readings(catalogue, seed), vectors(items, tower.streams[0], seed)
    asked = Questions(catalogue, questions, seed)
    memory = FixedStore(candidate_set(catalogue, read, rows))
    snapshot = fill_warehouse(folder, catalogue, read, rows)
    begin = time.perf_counter()
    store = SnapshotStore(Warehouse(snapshot), SOURCE, **VARIANT)
    asked.ask(store, 0)
    found = {"load_s": time.perf_counter() - begin}
    asked.ask(memory, 0)
    picture = _jpeg(seed)
    asked.ask_like(store, 0, picture, tower)
    few = candidate_set(catalogue[:1000], read[:1000], rows[:1000])
    taken = {
        "ask_memory": times_ms(lambda index: asked.ask(memory, index), questions),
        "ask_warehouse": times_ms(lambda index: asked.ask(store, index), questions),
        "ask_with_vector": times_ms(lambda index: asked.ask(store, index, rows[index]), questions),
        "ask_with_picture": times_ms(lambda index: asked.ask_like(store, index, picture, tower), questions),
        "parse": times_ms(lambda index: parse(asked.texts[index]), questions),
    }
    found |= {f"{name}_p95_ms": float(np.percentile(values, 95)) for name, values in taken.items()}
    found["ask_p95_ms"] = max(found["ask_memory_p95_ms"], found["ask_warehouse_p95_ms"])
    return found | {"rerank_1000_ms": rerank_ms(few, asked.texts)}


def _jpeg(seed: int) -> bytes:
    """A picture of noise in the size of a shop's photo."""
    pixels, file = np.random.default_rng(seed).integers(0, 256, (800, 600, 3), dtype=np.uint8), io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="where the numbers go")
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options.items, options.questions, options.seed, Path(folder))
    for name, value in found.items():
        print(f"{name:26} {value:8.2f}  {f'bound {BOUNDS[name]:g}' if name in BOUNDS else ''}")
    atomic_write(options.json, json.dumps({"items": options.items, **found}, indent=2) + "\n")
    return 0 if all(found[name] <= bound for name, bound in BOUNDS.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
