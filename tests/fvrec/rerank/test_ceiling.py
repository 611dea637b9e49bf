"""The bounds by hand, and as bounds."""

from __future__ import annotations

import numpy as np
import pytest

from fvrec.errors import FvrecError
from fvrec.rerank.ceiling import ceiling, oracle


def test_by_hand() -> None:
    gains = np.array([1.0, 0.5, 0.0, 1.0, 0.0])
    seen = np.array([[1, 2], [1, 2], [3, 4], [3, 4], [3, 4]])
    # (1, 2) holds 1 and 0.5: mean 3/4; (3, 4) holds 0, 1, 0: mean 1/3
    assert ceiling(gains, seen, 1) == pytest.approx(3 / 4)
    assert ceiling(gains, seen, 3) == pytest.approx((2 * 3 / 4 + 1 / 3) / 3)
    assert ceiling(gains, seen, 99) == pytest.approx(gains.mean())
    assert ceiling(gains, np.zeros((5, 0), dtype=np.int16), 2) == pytest.approx(gains.mean())
    assert oracle(gains, 3) == pytest.approx(2.5 / 3)


@pytest.mark.parametrize("seed", range(30))
def test_no_order_of_what_is_seen_beats_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gains, seen, k = rng.integers(0, 3, size=40) / 2, rng.integers(0, 3, size=(40, 2)), int(rng.integers(1, 30))
    bound = ceiling(gains, seen, k)
    assert gains.mean() - 1e-9 <= bound <= oracle(gains, k) + 1e-9
    for _ in range(20):
        points = rng.random((3, 3))[seen[:, 0], seen[:, 1]]
        lists = [gains[np.lexsort((rng.random(40), -points))[:k]].mean() for _ in range(60)]
        assert np.mean(lists) <= bound + 4 * np.std(lists) / np.sqrt(60) + 1e-9


def test_all_that_is_seen_of_each_apart_is_the_truth() -> None:
    gains = np.random.default_rng(0).random(30)
    assert ceiling(gains, np.arange(30)[:, None], 7) == pytest.approx(oracle(gains, 7))


def test_bad_input() -> None:
    for gains, k in ((np.array([]), 3), (np.array([1.0]), 0)):
        with pytest.raises(FvrecError, match="ceiling"):
            oracle(gains, k)
