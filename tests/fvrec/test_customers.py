"""A shop's customers: accounting, shares, sampling."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fvrec.catalog import build
from fvrec.records import Item
from fvrec.schema import FIELDS
from fvrec.sources import Source, open_source
from fvrec.sources.customers import Customers, profile_customers, read_customers
from tests.fvrec.hm_folder import article, write_articles, write_purchases

BLACK, WHITE = (
    article("0000000001", product_code="1"),
    article("0000000002", product_code="2", colour_group_name="White"),
)


def shop(raw: Path, lines: list[str]) -> tuple[Source, tuple[Item, ...]]:
    write_articles(raw, [BLACK, WHITE])
    write_purchases(raw, lines)
    source = open_source("hm", raw)
    return source, build(source, root=raw, workers=1).items


def read(raw: Path, lines: list[str], *, seed: int = 7, limit: int = 100) -> Customers:
    customers = read_customers(*shop(raw, lines), seed=seed, limit=limit)
    assert customers is not None
    return customers


def test_every_row_is_kept_or_dropped_for_a_reason(tmp_path: Path) -> None:
    customers = read(
        tmp_path,
        [
            "2018-09-21,ann,0000000002,0.01,1",
            "2018-09-20,ann,1,0.01,1",
            "2018-09-20,ann,0000000001,0.01,1",
            "2018-09-20,bob,0000000009,0.01,1",
            "yesterday,bob,0000000001,0.01,1",
            "2018-09-20,,0000000001,0.01,1",
            "2018-09-20,bob",
        ],
    )
    assert [user.user_id for user in customers.users] == ["ann"]
    assert [(one.item_id, one.at) for one in customers.interactions] == [
        ("0000000001", datetime(2018, 9, 20, tzinfo=UTC)),
        ("0000000001", datetime(2018, 9, 20, tzinfo=UTC)),
        ("0000000002", datetime(2018, 9, 21, tzinfo=UTC)),
    ]
    assert customers.dropped == {"bad_date": 1, "bad_row": 1, "missing_id": 1, "not_an_item": 1}
    assert customers.rows_in == 7
    numbers = {(row.metric, row.slice): row.value for row in profile_customers(customers, "hm")}
    assert numbers["purchase_rows_in", ""] == numbers["purchases", ""] + sum(customers.dropped.values()) == 7
    assert numbers["customers", ""] == 1


def test_a_taste_is_the_shares_of_what_was_bought(tmp_path: Path) -> None:
    lines = ["2018-09-20,ann,0000000001,0,1"] * 3 + ["2018-09-20,ann,0000000002,0,1"]
    (ann,) = read(tmp_path, lines).users
    assert ann.preferences["color"] == {"black": 3 / 4, "white": 1 / 4}
    assert ann.preferences["neckline"] == {"unknown": 1.0}
    assert tuple(ann.preferences) == FIELDS
    assert all(sum(shares.values()) == pytest.approx(1) for shares in ann.preferences.values())


def test_a_sample_of_customers_is_whole_seeded_and_stable_under_growth(tmp_path: Path) -> None:
    names = [f"c{n:03d}" for n in range(60)]
    lines = [f"2018-09-2{day},{name},0000000001,0,1" for day in (0, 1) for name in names]
    source, items = shop(tmp_path, lines)

    def chosen(seed: int) -> list[str]:
        customers = read_customers(source, items, seed=seed, limit=20)
        assert customers is not None
        assert len(customers.interactions) == 2 * len(customers.users)
        assert customers.dropped == {"customer_not_sampled": 80}
        return [user.user_id for user in customers.users]

    first = chosen(1)
    assert len(first) == 20
    assert first == chosen(1) != chosen(2)
    write_purchases(tmp_path, [*reversed(lines), "2018-09-20,c999,0000000001,0,1"])
    customers = read_customers(source, items, seed=1, limit=20)
    assert customers is not None
    assert len({user.user_id for user in customers.users} - set(first)) <= 1


def test_a_source_without_purchases_has_no_customers(tmp_path: Path) -> None:
    write_articles(tmp_path, [BLACK])
    source = open_source("hm", tmp_path)
    assert read_customers(source, build(source, root=tmp_path, workers=1).items, seed=7) is None
    assert read_customers(open_source("embedded", tmp_path / "drawn"), [], seed=7) is None
