"""The three draws of candidates, and the rows that tell them apart."""

from __future__ import annotations

import numpy as np
import pytest

from fvrec.records import Item, Metric
from fvrec.rerank.evaluate import evaluate
from fvrec.rerank.protocol import DRAWS, SIZES, CandidateDraw, draw
from fvrec.rerank.queries import generate
from fvrec.rerank.score import ScoreWeights
from fvrec.rerank.summary import ATTAINABLE, OF_CEILING, MetricContext
from fvrec.rerank.table import candidate_set
from fvrec.schema import FIELDS, VALUES

from .products import make_item, make_prediction

CONTEXT = MetricContext("test", "test", "tiny", "lora", "image", "raw")
SUPERVISED = ("category", "color", "pattern", "gender")


@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("size", [1, 7, 500])
def test_a_draw_holds_its_item_once_and_depends_on_the_seed_alone(kind: CandidateDraw, size: int) -> None:
    category = np.arange(60, dtype=np.int16) % 4
    embeddings = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32)

    def drawn(seed: int) -> list[int]:
        rng = np.random.default_rng(seed)
        return draw(kind, 9, size, category=category, embeddings=embeddings, rng=rng).tolist()

    rows = drawn(1)
    assert rows.count(9) == 1
    assert len(rows) == len(set(rows)) == min(size, 15 if kind == "category" else 60)
    assert rows == drawn(1)
    if kind == "category":
        assert {int(category[row]) for row in rows} == {1}
    if kind == "recall":
        nearness = embeddings @ embeddings[9]
        left_out = set(range(60)) - set(rows)
        assert all(
            nearness[row] <= min(nearness[kept] for kept in set(rows) - {9}) for row in left_out if len(rows) > 1
        )


def test_without_vectors_a_recall_is_a_uniform_draw() -> None:
    rng = np.random.default_rng(0)
    rows = draw("recall", 3, 20, category=np.zeros(50, np.int16), embeddings=np.zeros((50, 0), np.float32), rng=rng)
    assert len(set(rows.tolist())) == 20
    assert 3 in rows


@pytest.fixture(scope="module")
def metrics() -> list[Metric]:
    """Readings that are right in three fields of four, over 300 items of few values whose titles say nothing.

    Then nothing but the predicted values tells items apart, and the ceiling bounds the rerank but for luck with ties.
    """
    rng = np.random.default_rng(5)
    items: list[Item] = []
    for index in range(300):
        values = {field: VALUES[field][int(rng.integers(min(4, len(VALUES[field]) - 1)))] for field in FIELDS}
        items.append(make_item(f"i{index}", "thing", values))
    wrong = [{f: VALUES[f][int(rng.integers(4))] for f in SUPERVISED if rng.random() < 0.25} for _ in items]
    vectors = rng.standard_normal((300, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    read = [make_prediction(item, **changes) for item, changes in zip(items, wrong, strict=True)]
    queries = generate(items, SUPERVISED, n=60, seed=7)
    candidates = candidate_set(items, read, vectors)
    sizes = {**SIZES, "category": 40, "recall": 40}
    return evaluate(
        queries, candidates, supervised=SUPERVISED, context=CONTEXT, seed=7, weights=ScoreWeights(), sizes=sizes
    ).metrics


def value(metrics: list[Metric], name: str, strategy: str, slice_: str = "", k: int = 10) -> float:
    (row,) = [m for m in metrics if (m.metric, m.strategy, m.slice, m.k) == (name, strategy, slice_, k)]
    return row.value


@pytest.mark.parametrize(
    "slice_", ["", "constraints=1", "constraints=4", "candidates=category", "candidates=recall", ATTAINABLE]
)
def test_the_bounds_are_in_order(metrics: list[Metric], slice_: str) -> None:
    base, rerank, bound, oracle = (
        value(metrics, "constraint_satisfaction", name, slice_) for name in ("base_rank", "rerank", "ceiling", "oracle")
    )
    assert base < rerank <= bound + 0.05
    assert bound <= oracle + 1e-9
    assert value(metrics, OF_CEILING, "rerank", slice_) == pytest.approx(rerank / bound)


def test_what_a_list_of_ten_can_meet_the_oracle_meets(metrics: list[Metric]) -> None:
    assert value(metrics, "constraint_satisfaction", "oracle", ATTAINABLE) == 1.0
    (row,) = [m for m in metrics if m.slice == ATTAINABLE and m.strategy == "oracle"]
    assert 5 < row.n < 60


def test_served_weights_are_one_of_the_two_kinds_of_match(metrics: list[Metric]) -> None:
    names = ("constraint_satisfaction", "constraint_satisfaction_predicted", "ndcg")
    for name in names:
        assert value(metrics, name, "rerank") == value(metrics, name, "rerank_hard")
        assert value(metrics, name, "rerank_expected") > 0
