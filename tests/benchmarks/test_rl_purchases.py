from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from benchmarks.rl_purchases import POOL, Customer, Matched, summary

PRODUCTS = [f"p{row // 2}" for row in range(800)]
"""Two colours of each of 400 products."""


@pytest.fixture
def customers() -> list[Customer]:
    """Sixty customers: the first hundred articles are bought again and again, the others hardly ever."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(60):
        rows = np.unique(np.concatenate([rng.choice(100, 6, replace=False), 100 + rng.choice(700, 2, replace=False)]))
        rows = rng.permutation(rows[np.unique([PRODUCTS[row] for row in rows], return_index=True)[1]])
        found.append(Customer(f"c{number}", rows[:-2], rows[-2:]))
    return found


def test_what_comes_later_hides_among_articles_of_other_products_that_as_many_others_bought(
    customers: list[Customer],
) -> None:
    matched, rng = Matched(customers, PRODUCTS), np.random.default_rng(1)
    bought = Counter(
        name for one in customers for name in {PRODUCTS[row] for row in np.concatenate([one.known, one.later]).tolist()}
    )
    gaps = []
    for one in customers:
        rows = matched.rows(one, rng)
        assert len(set(rows.tolist())) == POOL
        assert set(one.later.tolist()) <= set(rows.tolist())
        negatives = [row for row in rows.tolist() if row not in set(one.later.tolist())]
        mine = {PRODUCTS[row] for row in np.concatenate([one.known, one.later]).tolist()}
        assert not mine & {PRODUCTS[row] for row in negatives}
        gaps.append(
            np.mean([bought[PRODUCTS[row]] for row in negatives])
            - np.mean([bought[PRODUCTS[row]] - 1 for row in one.later.tolist()])
        )
    # By popularity alone later purchases could not be told: the others' purchases are as many on both sides.
    assert abs(np.mean(gaps)) < 0.6
    assert np.std([bought[name] for name in PRODUCTS]) > 2


def test_where_the_candidates_stand_tells_nothing(customers: list[Customer]) -> None:
    matched, rng = Matched(customers, PRODUCTS), np.random.default_rng(2)
    places = [np.flatnonzero(np.isin(matched.rows(one, rng), one.later)) for one in customers for _ in range(5)]
    assert np.concatenate(places).mean() == pytest.approx((POOL - 1) / 2, abs=2.5)


def test_a_summary_says_how_small_a_difference_could_have_been_seen() -> None:
    rng = np.random.default_rng(3)
    noise = rng.normal(scale=0.1, size=400)
    found = summary({"base_rank": np.full(400, 0.3), "rl": 0.3 + noise})
    row = found["rl_minus"]["base_rank"]
    assert row["smallest_detectable"] == pytest.approx(2.8 * noise.std(ddof=1) / 20, abs=1e-4)
    assert row["low"] < row["value"] < row["high"]
    assert found["customers"] == 400
