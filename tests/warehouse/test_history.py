"""Vanished items: marked, remembered, out of everybody's way; and databases from before there was such a mark."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from fvrec.errors import FvrecError
from fvrec.records import Item, Placed, Prediction, Quarantined, Run
from warehouse import write
from warehouse.db import migrate
from warehouse.read import Warehouse
from warehouse.upgrade import MIGRATIONS

NOW = datetime(2026, 5, 5, tzinfo=UTC)


def _update(live: Path, items: list[Item], *, vanished: tuple[str, ...] = (), at: datetime = NOW) -> None:
    write.update_items(live, "shop", items, [], vanished=vanished, at=at)


def test_only_what_is_given_is_written(live: Path, make_item: Callable[..., Item]) -> None:
    write.save_items(live, "shop", [make_item("a"), make_item("b")], [Quarantined("shop", "x", "bad_row", "")])
    before = {item.item_id: item for item in Warehouse(live).items("shop")}
    later = NOW + timedelta(days=9)
    changed = replace(make_item("b", color="red"), title="new", ingested_at=later)
    write.update_items(live, "shop", [changed, make_item("c")], [], vanished=(), at=later)
    after = {item.item_id: item for item in Warehouse(live).items("shop")}
    assert list(after) == ["a", "b", "c"]
    assert (after["a"], after["a"].ingested_at) == (before["a"], before["a"].ingested_at)
    assert (after["b"].title, after["b"].values["color"], after["b"].ingested_at) == ("new", "red", later)
    assert Warehouse(live).quarantine("shop") == []
    assert Warehouse(live).query("SELECT count(*) FROM item_attributes").rows == ((30,),)


def test_a_vanished_item_is_kept_and_ignored(
    live: Path,
    make_item: Callable[..., Item],
    make_prediction: Callable[..., Prediction],
    make_run: Callable[..., Run],
) -> None:
    items = [make_item(name) for name in "abc"]
    write.save_items(live, "shop", items, [])
    write.save_run(live, make_run("run"))
    write.save_predictions(live, "run", [make_prediction(name) for name in "abc"])
    store, variant = Warehouse(live), {"model": "lora", "inputs": "image", "mode": "raw"}
    _update(live, [], vanished=("b",))
    assert [item.item_id for item in store.items("shop")] == ["a", "c"]
    assert [item.vanished_at for item in store.items("shop", vanished=True)] == [None, NOW, None]
    assert store.candidates("shop", **variant).item_ids == ("a", "c")
    assert [found.items for found in store.extractions("shop")] == [2]
    assert store.query("SELECT sum(items) FROM catalogue_overview").rows == ((2,),)
    assert store.query("SELECT max(total) FROM data_quality").rows == ((2,),)
    _update(live, [], vanished=("b",), at=NOW + timedelta(days=1))
    assert store.items("shop", vanished=True)[1].vanished_at == NOW
    _update(live, [items[1]])
    assert [item.item_id for item in store.items("shop")] == ["a", "b", "c"]
    assert store.items("shop")[1].vanished_at is None


def test_a_catalogue_with_vanished_items_counts_as_one_without_them(live: Path, make_item: Callable[..., Item]) -> None:
    store = Warehouse(live)
    write.save_items(live, "shop", [make_item("a")], [])
    alone = store.fingerprint_source("shop")
    _update(live, [make_item("b")])
    both = store.fingerprint_source("shop")
    _update(live, [], vanished=("b",))
    assert both != alone
    assert store.fingerprint_source("shop") == alone


def test_what_was_placed_is_remembered_with_its_traits(live: Path, make_item: Callable[..., Item]) -> None:
    item = replace(make_item("a"), group_key="design", image_phash="0f" * 32, row_digest="12")
    write.save_items(live, "shop", [item, make_item("b"), make_item("c", source="shop")], [])
    write.save_items(live, "elsewhere", [make_item("z", source="elsewhere")], [])
    _update(live, [], vanished=("b",))
    placed = Warehouse(live).placed("shop")
    assert sorted(placed) == ["a", "b", "c"]
    assert placed["a"] == Placed("group of a", "test", "design", "ab" * 32, "0f" * 32, "12", False)
    assert placed["b"].vanished


@pytest.mark.parametrize("count", [1, 5_003])
def test_an_item_that_comes_twice_changes_nothing(live: Path, make_item: Callable[..., Item], count: int) -> None:
    write.save_items(live, "shop", [make_item("old")], [])
    items = [make_item(f"i{number}") for number in range(count)]
    with pytest.raises(FvrecError, match="same key"):
        write.save_items(live, "shop", iter([*items, items[0]]), [])
    with pytest.raises(FvrecError, match="another source"):
        _update(live, [*items, make_item("x", source="other")])
    assert [item.item_id for item in Warehouse(live).items("shop")] == ["old"]


def test_a_database_of_schema_one_is_brought_forward(live: Path, tmp_path: Path) -> None:
    only_first = tmp_path / "migrations"
    only_first.mkdir()
    shutil.copy(MIGRATIONS / "0001_core.sql", only_first)
    empty = tmp_path / "views"
    empty.mkdir()
    migrate(live, migrations=only_first, views=empty)
    with duckdb.connect(live) as connection:
        connection.execute("INSERT INTO items VALUES ('shop', 'a', 'g', 'val', 'p', 'ab', '', '', '{}', now())")
    migrate(live)
    store = Warehouse(live)
    assert store.placed("shop") == {"a": Placed("g", "val", "", "ab", "", "", False)}
    assert store.query("SELECT item_id, vanished_at FROM present_items").rows == (("a", None),)
    with duckdb.connect(live) as connection, pytest.raises(duckdb.ConstraintException):
        connection.execute("UPDATE items SET group_key = NULL")
