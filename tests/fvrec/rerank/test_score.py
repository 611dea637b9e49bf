"""The score by hand, and the text index on titles whose nearest is plain."""

from __future__ import annotations

import time

import numpy as np
import pytest

from fvrec.errors import FvrecError
from fvrec.rerank.constraints import Constraints, parse
from fvrec.rerank.pool import encode_values
from fvrec.rerank.score import ScoreWeights, base_score, image_similarity, judge, score, to_pool
from fvrec.rerank.text import TextIndex
from fvrec.schema import FIELDS, UNKNOWN, VALUES

ROWS = [{"color": "blue", "material": "cotton"}, {"color": "red"}, {"color": "black", "material": "silk"}, {}]


def test_score_by_hand() -> None:
    constraints = parse("blue or red, ideally cotton, not black")
    judgement = judge(encode_values(ROWS), constraints)
    base = np.array([0.1, 0.2, 0.3, 0.4])
    found = score(base, judgement, ScoreWeights(alpha=2, beta=1, soft=0.5))
    # colour wanted, colour excluded, material (soft, half): met, broken or unknown
    assert found.tolist() == pytest.approx([0.1 + 2 * 2.5, 0.2 + 2 * 2, 0.3 - 2.5, 0.4])
    assert judgement.meets_all.tolist() == [True, False, False, False]


def test_zero_weights_leave_the_base() -> None:
    judgement = judge(encode_values(ROWS), parse("blue"))
    base = np.array([0.4, 0.3, 0.2, 0.1])
    assert score(base, judgement, ScoreWeights(alpha=0, beta=0)).tolist() == base.tolist()


def test_arrays_agree_with_single_outcomes() -> None:
    rng = np.random.default_rng(1)
    rows = [{field: VALUES[field][int(rng.integers(len(VALUES[field])))] for field in FIELDS} for _ in range(200)]
    constraints = Constraints.of(
        {"color": ["blue", "red"], "category": ["dress"]}, {"color": ["black"], "fit": ["slim"]}
    )
    judgement = judge(encode_values(rows), constraints)
    for row, attributes in enumerate(rows):
        for column, constraint in enumerate(constraints.constraints):
            expected = constraint.outcome(attributes[constraint.field])
            seen = {(True, False): "met", (False, True): "conflict", (False, False): "unknown"}
            assert seen[bool(judgement.met[row, column]), bool(judgement.conflict[row, column])] == expected
            assert (attributes[constraint.field] == UNKNOWN) == (expected == "unknown")


def test_pool_is_on_one_scale() -> None:
    constraints = parse("blue cotton")
    values = encode_values(ROWS)
    weights = ScoreWeights(alpha=1, beta=0.5)
    judgement = judge(values, constraints)
    scores = score(np.array([1.0, 0.0, 0.0, 0.0]), judgement, weights)
    pool = to_pool(list("abcd"), values, np.zeros((4, 2), np.float32), scores, judgement, weights)
    # from -1 (both broken) to 3 (both met, base 1)
    assert pool.relevance.tolist() == pytest.approx([1.0, (-0.5 + 1) / 4, 0.0, 1 / 4])
    assert pool.field_match[:, FIELDS.index("color")].tolist() == [1.0, 0.0, 0.0, 0.5]
    assert pool.field_match[:, FIELDS.index("fit")].tolist() == [0.5] * 4


def test_image_similarity_and_blend() -> None:
    rows = np.array([[1, 0], [0, 1], [-1, 0], [0, 0]], dtype=np.float32)
    image = image_similarity(rows, np.array([2.0, 0.0]))
    assert image.tolist() == [1, 0, 0, 0]
    assert base_score(np.full(4, 0.5), image, ScoreWeights(text=1, image=3))[0] == pytest.approx((0.5 + 3) / 4)
    for bad in (np.zeros(3), np.array([np.nan, 0.0])):
        with pytest.raises(FvrecError):
            image_similarity(rows, bad)


def test_text_similarity_finds_the_nearest_title() -> None:
    titles = ["Blue floral summer dress", "Men black leather belt", "蓝色碎花连衣裙 夏季", "黑色真皮皮带"]
    index = TextIndex(titles)
    assert index.similarity("floral dresses").argmax() == 0
    assert index.similarity("真皮的皮带").argmax() == 3
    exact = index.similarity(titles[1])
    assert exact[1] == pytest.approx(1.0, abs=1e-5)
    assert ((exact >= 0) & (exact <= 1)).all()
    assert TextIndex(["", "!!"]).similarity("dress").tolist() == [0, 0]


def test_weights_must_not_be_negative() -> None:
    with pytest.raises(FvrecError):
        ScoreWeights(beta=-1)


def test_a_thousand_candidates_within_five_milliseconds() -> None:
    rng = np.random.default_rng(0)
    rows = [{field: VALUES[field][int(rng.integers(len(VALUES[field])))] for field in FIELDS} for _ in range(1000)]
    values, vectors, base = encode_values(rows), np.zeros((1000, 64), np.float32), rng.random(1000)
    constraints, weights = parse("blue or red long sleeve cotton dress, no stripes"), ScoreWeights()

    def rerank() -> float:
        begin = time.perf_counter()
        judgement = judge(values, constraints)
        scores = score(base, judgement, weights)
        order = np.argsort(-scores, kind="stable")
        to_pool([str(row) for row in order], values[order], vectors, scores[order], judgement.rows(order), weights)
        return time.perf_counter() - begin

    assert min(rerank() for _ in range(10)) < 5e-3


def test_expected_match_by_hand() -> None:
    constraints = Constraints.of({"color": ["blue", "red"], "material": ["cotton"]}, {"fit": ["slim"]})
    rows = [
        {"color": "blue", "material": "cotton", "fit": "slim"},
        {"color": "green", "material": "silk", "fit": "loose"},
        {},
    ]
    confidence = np.full((3, len(FIELDS)), 0.6, dtype=np.float32)
    judgement = judge(encode_values(rows), constraints, confidence)
    color, material, fit = (0.4 / (len(VALUES[name]) - 2) for name in ("color", "material", "fit"))
    chances = [[0.6 + color, 0.6, 0.4], [2 * color, material, 1 - fit], [0, 0, 0]]
    assert judgement.chance is not None
    assert judgement.chance.tolist() == [pytest.approx(row, abs=1e-6) for row in chances]
    found = score(np.zeros(3), judgement, ScoreWeights(alpha=2, beta=1, expected=True))
    by_hand = [2 * sum(row) - (3 - sum(row)) for row in chances[:2]]
    assert found.tolist() == pytest.approx([*by_hand, 0.0], abs=1e-5)


def test_certain_predictions_make_the_expected_score_the_plain_one() -> None:
    constraints = parse("blue or red, ideally cotton, not black")
    judgement = judge(encode_values(ROWS), constraints, np.ones((4, len(FIELDS)), dtype=np.float32))
    base = np.array([0.1, 0.2, 0.3, 0.4])
    plain, expected = (score(base, judgement, ScoreWeights(expected=how)) for how in (False, True))
    assert expected.tolist() == pytest.approx(plain.tolist())


def test_chances_are_frequencies_when_confidences_are_calibrated() -> None:
    """Values drawn from the very distribution that the confidence stands for."""
    rng, values, n = np.random.default_rng(4), VALUES["color"][:-1], 40_000
    p = rng.uniform(0.3, 1.0, n).astype(np.float32)
    predicted = rng.integers(len(values), size=n)
    others = (predicted + rng.integers(1, len(values), size=n)) % len(values)
    truth = np.where(rng.random(n) < p, predicted, others)
    codes = np.full((n, len(FIELDS)), 0, dtype=np.int16)
    codes[:, FIELDS.index("color")] = predicted
    confidence = np.repeat(p[:, None], len(FIELDS), axis=1)
    for constraints in (Constraints.of({"color": values[:3]}), Constraints.of({}, {"color": values[:2]})):
        chance = judge(codes, constraints, confidence).chance
        (one,) = constraints.constraints
        met = np.isin(truth, [values.index(value) for value in one.values]) != one.excluded
        assert chance is not None
        for low in np.arange(0, 1, 0.1):
            within = (chance[:, 0] >= low) & (chance[:, 0] < low + 0.1)
            if within.sum() > 500:
                assert met[within].mean() == pytest.approx(chance[within].mean(), abs=0.05)


def test_an_expected_score_needs_confidences() -> None:
    with pytest.raises(FvrecError, match="confidence"):
        score(np.zeros(4), judge(encode_values(ROWS), parse("blue")), ScoreWeights(expected=True))
