"""The SQL filter against the constraints' own judgement, and its life beside the snapshot."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fvrec.errors import FvrecError
from fvrec.records import CandidateSet, Item, Prediction, Run
from fvrec.rerank.ask import FilteringStore, FixedStore, ask
from fvrec.rerank.constraints import Constraints, parse
from fvrec.rerank.diversify import BaseRank
from fvrec.schema import FIELDS, VALUES
from warehouse import write
from warehouse.db import publish
from warehouse.read import Warehouse
from warehouse.store import FilteredStore, SnapshotStore

VARIANT = {"model": "lora", "inputs": "image", "mode": "raw"}


@pytest.fixture
def everything(make_item: Callable[..., Item]) -> CandidateSet:
    """500 items with any value that the schema has, unknown included."""
    rng = np.random.default_rng(2)
    drawn = [{field: str(rng.choice(VALUES[field])) for field in FIELDS} for _ in range(500)]
    return CandidateSet(
        item_ids=tuple(f"i{index}" for index in range(500)),
        items=[make_item(f"i{index}") for index in range(500)],
        attributes=drawn,
        confidence=[dict.fromkeys(FIELDS, 0.9)] * 500,
        embeddings=np.zeros((500, 0), dtype=np.float32),
    )


@pytest.mark.parametrize("seed", range(25))
def test_sql_keeps_what_breaks_no_hard_constraint(everything: CandidateSet, seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted, excluded = (
        {str(f): [str(v) for v in rng.choice(VALUES[f][:-1], rng.integers(1, 4))] for f in rng.permutation(FIELDS)[:n]}
        for n in rng.integers(0, 4, size=2)
    )
    constraints = Constraints.of(wanted, excluded)
    expected = [
        row
        for row, attributes in enumerate(everything.attributes)
        if all(one.outcome(attributes[one.field]) != "conflict" for one in constraints.constraints)
    ]
    assert FilteredStore(everything).allowed(constraints).tolist() == expected


def test_soft_constraints_filter_nothing(everything: CandidateSet) -> None:
    store = FilteredStore(everything)
    constraints = parse("ideally blue")
    assert [one.strength for one in constraints.constraints] == ["soft"]
    assert len(store.allowed(constraints)) == 500
    assert store.allowed(parse("")).tolist() == list(range(500))


@pytest.mark.parametrize(
    "text", ["blue dress, no stripes", "红色或黑色，不要皮革，最好修身", "'; DROP TABLE wide; --", ""]
)
def test_both_stores_give_the_same_answer(everything: CandidateSet, text: str) -> None:
    in_sql, in_memory = (
        ask(store, text, ranker=BaseRank(), k=20) for store in (FilteredStore(everything), FixedStore(everything))
    )
    assert isinstance(FilteredStore(everything), FilteringStore)
    assert in_sql.ranked == in_memory.ranked


@pytest.fixture
def published(
    live: Path,
    snapshot: Path,
    make_item: Callable[..., Item],
    make_prediction: Callable[..., Prediction],
    make_run: Callable[..., Run],
) -> Path:
    """A snapshot of two items, read as blue and red."""
    write.save_items(live, "shop", [make_item("a"), make_item("b")], [])
    write.save_run(live, make_run("run"))
    write.save_predictions(live, "run", [make_prediction("a", color="blue"), make_prediction("b", color="red")])
    publish(live, snapshot)
    return snapshot


def test_a_snapshot_is_read_once_until_the_next_one(
    published: Path, live: Path, make_prediction: Callable[..., Prediction]
) -> None:
    store = SnapshotStore(Warehouse(published), "shop", **VARIANT)
    red = parse("red")
    assert store.candidates(red) is store.candidates(parse("blue"))
    assert store.allowed(red).tolist() == [1]
    write.save_predictions(live, "run", [make_prediction("a", color="red"), make_prediction("b", color="red")])
    assert store.allowed(red).tolist() == [1]
    publish(live, published)
    assert [row["color"] for row in store.candidates(red).attributes] == ["red", "red"]
    assert store.allowed(red).tolist() == [0, 1]


def test_threads_share_a_store(published: Path) -> None:
    store = SnapshotStore(Warehouse(published), "shop", **VARIANT)
    texts = ["red", "blue", "not red", ""] * 8
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda text: store.allowed(parse(text)).tolist() if store.candidates(parse(text)) else [], texts)
        )
    assert found == [[1], [0], [0], [0, 1]] * 8


def test_what_is_missing_is_named(published: Path) -> None:
    store = SnapshotStore(Warehouse(published), "elsewhere", **VARIANT)
    with pytest.raises(FvrecError, match="fvrec ingest"):
        ask(store, "red", ranker=BaseRank())
