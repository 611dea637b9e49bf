"""The benchmark of ``ask`` on a small catalogue: what it makes is what it says, and what it reports is complete."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ask as benchmark
from fvrec.rerank.constraints import parse
from fvrec.schema import FIELDS, UNKNOWN


def test_products_are_drawn_from_the_seed() -> None:
    items = benchmark.products(200, seed=1)
    assert items == benchmark.products(200, seed=1)
    assert items != benchmark.products(200, seed=2)
    unknown = np.mean([value == UNKNOWN for item in items for value in item.values.values()])
    assert 0.2 < unknown < 0.4
    assert all(item.values["category"].replace("_", " ") in item.title for item in items)
    read = benchmark.readings(items, seed=1)
    assert [one.attributes for one in read] == [item.values for item in items]
    assert {tuple(one.confidence) for one in read} == {FIELDS}


def test_questions_say_something_and_some_of_it_is_not_understood() -> None:
    texts = benchmark.Questions(benchmark.products(300, seed=1), 60, seed=1).texts
    parsed = [parse(text) for text in texts]
    assert {one.language for one in parsed} == {"zh", "en"}
    assert {len(one) for one in parsed} >= {1, 2, 3, 4}
    assert 0.2 < np.mean([bool(one.unrecognised) for one in parsed]) < 0.5


def test_every_number_is_written(tmp_path: Path) -> None:
    path = tmp_path / "ask.json"
    code = benchmark.main(["--json", str(path), "--items", "300", "--questions", "12"])
    found = json.loads(path.read_text())
    assert set(benchmark.BOUNDS) < set(found)
    assert all(found[name] > 0 for name in benchmark.BOUNDS)
    assert found["ask_p95_ms"] == max(found["ask_memory_p95_ms"], found["ask_warehouse_p95_ms"])
    assert code == int(any(found[name] > bound for name, bound in benchmark.BOUNDS.items()))


def test_asking_costs_no_python_object_per_candidate() -> None:
    """Ten times the candidates cost far less than ten times the time: everything before the list is arrays."""
    small, large = (
        benchmark.candidate_set(items, benchmark.readings(items, 3), benchmark.vectors(len(items), 32, 3))
        for items in (benchmark.products(count, 3) for count in (2_000, 20_000))
    )
    asked = benchmark.Questions(small.items, 20, seed=3)
    times = []
    for candidates in (small, large):
        store = benchmark.FixedStore(candidates)
        asked.ask(store, 0)
        times.append(
            min(benchmark.times_ms(lambda index, store=store: asked.ask(store, index), 20).mean() for _ in range(3))
        )
    assert times[1] < 8 * times[0]


@pytest.mark.parametrize("count", [1000])
def test_a_thousand_are_reranked_within_the_bound(count: int) -> None:
    items = benchmark.products(count, seed=5)
    candidates = benchmark.candidate_set(items, benchmark.readings(items, 5), benchmark.vectors(count, 64, 5))
    texts = benchmark.Questions(items, 30, seed=5).texts
    assert min(benchmark.rerank_ms(candidates, texts) for _ in range(3)) < benchmark.BOUNDS["rerank_1000_ms"]
