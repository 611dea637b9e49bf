"""The evaluation on products read well and on products read by chance."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from fvrec.errors import FvrecError, SanityError
from fvrec.records import CandidateSet, Item, Metric
from fvrec.rerank.constraints import Constraints
from fvrec.rerank.evaluate import RerankEvaluation, check, evaluate
from fvrec.rerank.explain import explain
from fvrec.rerank.queries import generate
from fvrec.rerank.summary import ATTAINABLE, MetricContext
from fvrec.rerank.table import candidate_set
from fvrec.schema import FIELDS, VALUES

from .products import make_item, make_prediction, read_from_title

CONTEXT = MetricContext("test", "test", "tiny", "lora", "image", "raw")
SUPERVISED = ("category", "color", "pattern", "gender")


def read_by(items: list[Item], right: float) -> CandidateSet:
    """Predictions of which a share ``right`` is the label and the rest is drawn at random."""
    rng = np.random.default_rng(8)
    changes = [{f: str(rng.choice(VALUES[f][:-1])) for f in FIELDS if rng.random() > right} for _ in range(len(items))]
    return candidate_set(items, [make_prediction(item, **c) for item, c in zip(items, changes, strict=True)])


def run(items: list[Item], candidates: CandidateSet, seed: int = 7) -> RerankEvaluation:
    queries = generate(items, SUPERVISED, n=40, seed=seed)
    return evaluate(queries, candidates, supervised=SUPERVISED, context=CONTEXT, seed=seed)


def one(metrics: list[Metric], name: str, strategy: str, k: int = 10, slice_: str = "") -> Metric:
    (row,) = [m for m in metrics if (m.metric, m.strategy, m.k, m.slice) == (name, strategy, k, slice_)]
    return row


@pytest.fixture(scope="module")
def good() -> tuple[RerankEvaluation, CandidateSet]:
    rng = np.random.default_rng(5)
    items = []
    for index in range(300):
        values = {field: VALUES[field][int(rng.integers(min(6, len(VALUES[field]) - 1)))] for field in FIELDS}
        items.append(make_item(f"i{index}", f"{values['color']} {values['category']}".replace("_", " "), values))
    candidates = read_by(items, 1.0)
    return run(items, candidates), candidates


def test_perfect_reading_reaches_the_ceiling(good: tuple[RerankEvaluation, CandidateSet]) -> None:
    metrics = good[0].metrics
    rerank, base = (one(metrics, "constraint_satisfaction", s) for s in ("rerank", "base_rank"))
    ceiling = one(metrics, "constraint_satisfaction", "ceiling")
    assert base.value < rerank.value
    assert rerank.value == pytest.approx(ceiling.value, abs=0.02)
    assert one(metrics, "ndcg", "rerank").value > 0.98
    assert one(metrics, "explanation_faithfulness", "rerank").value == 1.0
    assert one(metrics, "explanation_correctness", "rerank").value == 1.0
    gain = one(metrics, "constraint_satisfaction_difference", "rerank")
    assert gain.ci_low is not None
    assert gain.ci_low > 0
    assert gain.value == pytest.approx(rerank.value - base.value)


def test_rows_carry_their_dimensions(good: tuple[RerankEvaluation, CandidateSet]) -> None:
    metrics = good[0].metrics
    assert {m.stage for m in metrics} == {"rerank"}
    by_request = {"", "language=zh", "language=en", *(f"constraints={n}" for n in (1, 2, 3, 4))}
    attainable = {ATTAINABLE, f"{ATTAINABLE}, language=zh", f"{ATTAINABLE}, language=en"}
    by_draw = {f"candidates={draw}{part}" for draw in ("category", "recall") for part in ("", f", {ATTAINABLE}")}
    assert {m.slice for m in metrics} == by_request | attainable | by_draw
    assert {m.k for m in metrics if m.metric == "constraint_satisfaction" and not m.slice} == {5, 10, 20}
    halves = [one(metrics, "constraint_satisfaction", "rerank", 10, f"language={tongue}") for tongue in ("zh", "en")]
    whole = one(metrics, "constraint_satisfaction", "rerank")
    assert sum(h.value * h.n for h in halves) / sum(h.n for h in halves) == pytest.approx(whole.value)
    keys = [(m.metric, m.strategy, m.k, m.slice) for m in metrics]
    assert len(keys) == len(set(keys))


def test_rankings_are_whole(good: tuple[RerankEvaluation, CandidateSet]) -> None:
    rankings = good[0].rankings
    assert len(rankings) == 40 * 2 * 10
    first = [row for row in rankings if row.query_id == "q0001" and row.strategy == "rerank"]
    assert [row.position for row in first] == list(range(1, 11))
    assert len({row.item_id for row in first}) == 10
    assert all(a.score >= b.score for a, b in pairwise(first))
    assert first[0].evidence["request"]
    check(*good, seed=0)


def test_wrong_reading_shows_in_the_truth_alone(catalogue: list[Item]) -> None:
    metrics = run(catalogue, read_by(catalogue, 0.5)).metrics
    true = one(metrics, "constraint_satisfaction", "rerank").value
    predicted = one(metrics, "constraint_satisfaction_predicted", "rerank").value
    assert true < predicted
    assert one(metrics, "explanation_faithfulness", "rerank").value == 1.0
    assert one(metrics, "explanation_correctness", "rerank").value < 0.9


def test_a_label_that_a_rule_gave_judges_nothing(catalogue: list[Item]) -> None:
    queries = generate(catalogue, SUPERVISED, n=40, seed=7)
    predictions = [make_prediction(item) for item in catalogue]

    def judged_with(color: str) -> list[Metric]:
        items = candidate_set([read_from_title(item, color=color) for item in catalogue], predictions)
        return evaluate(queries, items, supervised=SUPERVISED, context=CONTEXT, seed=7).metrics

    assert repr(judged_with("red")) == repr(judged_with("blue"))


def test_items_without_an_answer_are_ranked_by_text(catalogue: list[Item]) -> None:
    metrics = run(catalogue, candidate_set(catalogue, [])).metrics
    assert one(metrics, "constraint_satisfaction_predicted", "rerank").value == 0
    assert one(metrics, "constraint_satisfaction_difference", "rerank").value == 0


def test_same_seed_same_numbers(catalogue: list[Item]) -> None:
    candidates = read_by(catalogue, 0.8)
    assert run(catalogue, candidates).metrics == run(catalogue, candidates).metrics
    assert run(catalogue, candidates).metrics != run(catalogue, candidates, seed=8).metrics


def test_sanity_check_stops_a_false_explanation(good: tuple[RerankEvaluation, CandidateSet]) -> None:
    evaluation, candidates = good
    false = [replace(row, explanation="Its color is lovely (color=lovely).") for row in evaluation.rankings]
    with pytest.raises(SanityError, match="not faithful"):
        check(replace(evaluation, rankings=false), candidates, seed=0)
    same = [replace(row, item_id="i0", explanation="") for row in evaluation.rankings]
    with pytest.raises(SanityError):
        check(replace(evaluation, rankings=same), candidates, seed=0)


def test_sanity_check_stops_a_wish_that_nobody_made(good: tuple[RerankEvaluation, CandidateSet]) -> None:
    evaluation, candidates = good
    by_id = dict(zip(candidates.item_ids, candidates.attributes, strict=True))
    invented = Constraints.of(wanted={"sleeve_length": ["long"]})
    rankings = [replace(r, explanation=explain(by_id[r.item_id], {}, invented).text) for r in evaluation.rankings]
    with pytest.raises(SanityError, match="nobody asked"):
        check(replace(evaluation, rankings=rankings), candidates, seed=0)


def test_bad_input(catalogue: list[Item]) -> None:
    candidates = read_by(catalogue, 1.0)
    queries = generate(catalogue, SUPERVISED, n=2, seed=0)
    with pytest.raises(FvrecError, match="no queries"):
        evaluate([], candidates, supervised=SUPERVISED, context=CONTEXT, seed=0)
    with pytest.raises(FvrecError, match="not among"):
        evaluate([replace(queries[0], item_id="?")], candidates, supervised=SUPERVISED, context=CONTEXT, seed=0)
    twice = [make_prediction(catalogue[0])] * 2
    with pytest.raises(FvrecError, match="two predictions"):
        candidate_set(catalogue, twice)
