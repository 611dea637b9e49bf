"""Weights: chosen where they matter, left alone where they do not, kept as written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fvrec.config import Settings
from fvrec.errors import FvrecError
from fvrec.records import CandidateSet, Item, Prediction
from fvrec.rerank.bench import Bench
from fvrec.rerank.queries import generate
from fvrec.rerank.score import ScoreWeights
from fvrec.rerank.summary import MetricContext
from fvrec.rerank.table import candidate_set
from fvrec.rerank.tune import ALPHAS, BETAS, POINT, Tuning, tune
from fvrec.rerank.weights import read_weights, served_weights, weights_file, write_weights
from fvrec.schema import FIELDS, VALUES

from .products import make_item, make_prediction

CONTEXT = MetricContext("test", "test", "tiny", "lora", "image", "raw")
SUPERVISED = ("category", "color", "pattern", "gender")


def shop_items(count: int) -> list[Item]:
    """Few values a field, so that requests find many matches; titles say nothing."""
    rng = np.random.default_rng(3)
    drawn = [{f: VALUES[f][int(rng.integers(min(4, len(VALUES[f]) - 1)))] for f in FIELDS} for _ in range(count)]
    return [make_item(f"i{index:03d}", "thing", values) for index, values in enumerate(drawn)]


def misread(items: list[Item], *, calibrated: bool) -> CandidateSet:
    """Each field read rightly with its confidence (calibrated), or half of the time whatever its confidence says."""
    rng = np.random.default_rng(4)
    predictions: list[Prediction] = []
    for item in items:
        sure = {field: float(rng.choice([0.35, 0.95])) for field in FIELDS}
        right = {field: rng.random() < (sure[field] if calibrated else 0.65) for field in FIELDS}
        wrong = {f: VALUES[f][int(rng.integers(min(4, len(VALUES[f]) - 1)))] for f in FIELDS if not right[f]}
        made = make_prediction(item, **wrong)
        predictions.append(Prediction(**{**vars(made), "confidence": sure}))
    return candidate_set(items, predictions)


def tuned(candidates: CandidateSet, start: ScoreWeights | None = None) -> Tuning:
    queries = generate(candidates.items, SUPERVISED, n=80, seed=7)
    return tune(queries, candidates, supervised=SUPERVISED, context=CONTEXT, seed=7, start=start)


def test_confidences_count_where_they_are_worth_something() -> None:
    items = shop_items(400)
    found = tuned(misread(items, calibrated=True))
    assert found.weights.expected
    by_point = {tuple(sorted(m.params.items())): m.value for m in found.metrics if "satisfaction" in m.metric}
    assert len(by_point) == 4 * len(ALPHAS) * len(BETAS)
    best = {how: max(v for key, v in by_point.items() if dict(key)["expected"] is how) for how in (False, True)}
    assert best[True] > best[False] + 0.02


def test_readings_by_chance_are_not_held_against_titles_that_tell_the_truth() -> None:
    items = [replace(item, title=f"{item.values['color']} {item.values['category']}") for item in shop_items(300)]
    rng = np.random.default_rng(5)
    by_chance = [make_prediction(item, **{f: VALUES[f][int(rng.integers(4))] for f in FIELDS}) for item in items]
    found = tuned(candidate_set(items, by_chance))
    assert not found.weights.strict
    at = {tuple(m.params.items()): m.value for m in found.metrics if m.metric == "tuning_constraint_satisfaction"}
    chosen = at[tuple((name, getattr(found.weights, name)) for name in POINT)]
    base = at[("alpha", 0.0), ("beta", 0.0), ("expected", False), ("strict", False)]
    assert chosen >= base - 0.01
    trusting = max(value for key, value in at.items() if dict(key)["strict"])
    assert chosen > trusting + 0.02


def test_a_flat_grid_leaves_the_weights_alone() -> None:
    start = ScoreWeights(alpha=4.0, beta=2.0, soft=0.25)
    items = shop_items(150)
    perfect = candidate_set(items, [make_prediction(item) for item in items])
    assert tuned(perfect, start).weights == start


def test_rows_are_of_val_and_say_what_was_chosen() -> None:
    found = tuned(misread(shop_items(150), calibrated=False))
    assert {(m.split, m.slice, m.stage, m.k) for m in found.metrics} == {("val", "tuning", "rerank", 10)}
    (chosen,) = [m for m in found.metrics if m.metric == "tuning_chosen"]
    assert chosen.params == {name: getattr(found.weights, name) for name in POINT}
    keys = [(m.metric, tuple(sorted(m.params.items()))) for m in found.metrics]
    assert len(keys) == len(set(keys))
    assert found == tuned(misread(shop_items(150), calibrated=False))


def test_no_queries() -> None:
    items = shop_items(5)
    with pytest.raises(FvrecError, match="no queries"):
        tune([], candidate_set(items, []), supervised=SUPERVISED, context=CONTEXT, seed=0)


def test_a_trial_judges_as_the_metric_does() -> None:
    from fvrec.rerank.metrics import satisfied_share

    candidates = misread(shop_items(120), calibrated=False)
    bench = Bench(candidates, frozenset(SUPERVISED))
    for query in generate(candidates.items, SUPERVISED, n=20, seed=1):
        trial = bench.trial(query, "catalogue", 50, ScoreWeights(), np.random.default_rng(0))
        expected = trial.expected
        shares = [satisfied_share(bench.truth[row], expected.wanted, expected.excluded) for row in trial.rows]
        assert trial.gains.tolist() == pytest.approx(shares)
        assert trial.matching == sum(share == 1.0 for share in shares)


def test_weights_are_kept_and_settings_win(tmp_path: Path) -> None:
    settings = Settings(root=tmp_path)
    assert served_weights(settings) == ScoreWeights()
    written = ScoreWeights(alpha=4.0, beta=0.25, expected=True)
    write_weights(weights_file(settings), written)
    assert served_weights(settings) == read_weights(weights_file(settings)) == written
    fixed = served_weights(Settings(root=tmp_path, alpha=3.0, expected=False))
    assert fixed == ScoreWeights(alpha=3.0, beta=0.25, expected=False)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"alpha": "x"}', '{"alpha": -1}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "weights.json"
    path.write_text(text)
    with pytest.raises(FvrecError, match=r"weights\.json"):
        read_weights(path)
