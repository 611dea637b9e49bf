"""List metrics against values worked out by hand."""

from __future__ import annotations

from math import isnan, log2, sqrt

import numpy as np
import pytest
from numpy.typing import ArrayLike

from fvrec.errors import FvrecError
from fvrec.rerank.metrics import constraint_satisfaction, coverage, explanation_faithfulness, ild, ndcg
from fvrec.rerank.pool import encode_values

BLUE, RED = frozenset({"blue"}), frozenset({"red"})


def test_ndcg_graded_gains() -> None:
    dcg = 1 / log2(2) + 3 / log2(3)
    ideal = 3 / log2(2) + 2 / log2(3)
    assert ndcg([1, 3, 2], [1, 3, 2], k=2) == pytest.approx(dcg / ideal)


def test_ndcg_bounds() -> None:
    assert ndcg([3, 2, 1, 0], [0, 1, 2, 3], k=10) == pytest.approx(1)
    assert ndcg([0, 0], [0, 0, 0], k=2) == 0
    assert ndcg([0], [0, 5], k=1) == 0


@pytest.mark.parametrize("gains", [[-1.0], [float("nan")], [[1.0]]])
def test_ndcg_refuses_what_is_no_gain(gains: ArrayLike) -> None:
    with pytest.raises(FvrecError):
        ndcg(gains, gains, k=1)


def test_ild_of_three_directions() -> None:
    rows = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 3.0]])
    near = 1 - 1 / sqrt(2)
    assert ild(rows, k=3) == pytest.approx((near + near + 1) / 3)
    assert ild(rows, k=2) == pytest.approx(near)
    assert ild(rows, k=1) == 0
    assert ild(np.zeros((2, 3)), k=2) == 1


def test_ild_refuses_nan() -> None:
    with pytest.raises(FvrecError):
        ild(np.array([[np.nan], [1.0]]), k=2)


def test_coverage_counts_known_values_only() -> None:
    pool = encode_values(
        [{"color": "red", "season": "summer"}, {"color": "blue"}, {"color": "green", "season": "summer"}]
    )
    # Two items could show two colours and the one season: 3. The first two show red, blue, summer.
    assert coverage(pool[:2], 2, pool) == pytest.approx(3 / 3)
    assert coverage(pool[[0, 2]], 1, pool) == pytest.approx(2 / 2)
    assert coverage(pool[1:2], 1, pool) == pytest.approx(1 / 2)
    nothing = encode_values([{}])
    assert coverage(nothing, 1, nothing) == 0


def test_satisfaction_by_hand() -> None:
    shown = [{"color": "blue", "pattern": "solid"}, {"color": "red", "pattern": "striped"}, {"color": "blue"}]
    excluded = {"pattern": frozenset({"striped"})}
    # met: 2 of 2, 0 of 2, 1 of 2 (an unknown pattern meets no exclusion)
    assert constraint_satisfaction(shown, {"color": BLUE}, excluded, k=3) == pytest.approx((1 + 0 + 1 / 2) / 3)
    assert constraint_satisfaction(shown, {"color": BLUE | RED}, {}, k=3) == 1
    assert isnan(constraint_satisfaction(shown, {}, {}, k=3))
    assert isnan(constraint_satisfaction([], {"color": BLUE}, {}, k=3))


def test_faithfulness_by_hand() -> None:
    assert explanation_faithfulness([3, 2, 0], [1, 0, 0], k=3) == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert explanation_faithfulness([3, 2, 0], [1, 0, 0], k=1) == pytest.approx(2 / 3)
    with pytest.raises(FvrecError):
        explanation_faithfulness([1], [2], k=1)


def test_list_length_must_be_positive() -> None:
    with pytest.raises(FvrecError, match="k"):
        ndcg([1], [1], k=0)
