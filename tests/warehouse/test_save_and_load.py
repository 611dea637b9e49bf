"""What is saved comes back the same, saving again changes nothing, and a bad record changes nothing either."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from fvrec.errors import FvrecError
from fvrec.records import (
    AttributeValue,
    Confusion,
    CurvePoint,
    Embedding,
    Interaction,
    Item,
    Metric,
    Prediction,
    Quarantined,
    Ranking,
    Run,
    User,
)
from warehouse import write
from warehouse.read import Warehouse


def test_items_come_back_as_they_were(live: Path, make_item: Callable[..., Item]) -> None:
    shanghai = datetime(2026, 1, 1, 7, 30, tzinfo=timezone(timedelta(hours=8)))
    items = [
        replace(make_item("b"), ingested_at=shanghai),
        make_item("a", split="train"),
        make_item("c", split="excluded"),
    ]
    write.save_items(live, "shop", items, [])
    store = Warehouse(live)
    assert store.items("shop") == [items[1], items[0], items[2]]
    assert store.items("shop", ["train", "excluded"]) == [items[1], items[2]]
    assert store.items("shop", []) == []
    assert store.items("elsewhere") == []
    assert store.items("shop", ["test"])[0].ingested_at == datetime(2025, 12, 31, 23, 30, tzinfo=UTC)


def test_saving_items_again_replaces_that_source_only(live: Path, make_item: Callable[..., Item]) -> None:
    other = make_item("a", source="other", color="red")
    write.save_items(live, "other", [other], [Quarantined("other", "x.jpg", "image_missing", "no file")])
    for _ in range(2):
        write.save_items(live, "shop", [make_item("a"), make_item("b")], [Quarantined("shop", "y", "no_title", "")])
    write.save_items(live, "shop", [make_item("b", color="green")], [])
    store = Warehouse(live)
    assert [item.values["color"] for item in store.items("shop")] == ["green"]
    assert store.quarantine("shop") == []
    assert store.items("other") == [other]
    assert store.quarantine("other") == [Quarantined("other", "x.jpg", "image_missing", "no file")]


def test_a_bad_item_leaves_the_catalogue_as_it_was(live: Path, make_item: Callable[..., Item]) -> None:
    kept = [make_item("a")]
    write.save_items(live, "shop", kept, [])
    strange = make_item("b")
    outside = {**strange.attributes, "color": AttributeValue("mauve", "source")}
    short = {name: value for name, value in strange.attributes.items() if name != "fit"}
    bad_batches = {
        "same key": [make_item("b"), make_item("b")],
        "mauve": [replace(strange, attributes=outside)],
        "fit": [replace(strange, attributes=short)],
        "another source": [make_item("b", source="other")],
        "CHECK": [make_item("b", split="dev")],
        "JSON": [replace(strange, raw={"price": float("nan")})],
        "items.title": [replace(strange, title="broken \ud800 text")],
    }
    for message, batch in bad_batches.items():
        with pytest.raises(FvrecError, match=message):
            write.save_items(live, "shop", [*kept, *batch], [])
        assert Warehouse(live).items("shop") == kept, message


def test_predictions_accumulate_by_variant(live: Path, make_prediction: Callable[..., Prediction]) -> None:
    lora = [make_prediction("a"), make_prediction("b", valid=False)]
    base = [make_prediction("a", model="base", valid=False)]
    title = [make_prediction("a", inputs="title", color="red", confidence=0.25)]
    for batch in (lora, base, title, lora):
        write.save_predictions(live, "run1", batch)
    store = Warehouse(live)
    assert store.predictions("run1") == [*base, *lora, *title]
    assert store.predictions("run1", model="lora", inputs="title") == title
    assert store.predictions("run2") == []
    assert store.query("SELECT count(*) FROM predicted_attributes").rows == ((20,),)


def test_a_variant_saved_again_loses_what_is_not_in_it(live: Path, make_prediction: Callable[..., Prediction]) -> None:
    write.save_predictions(live, "run1", [make_prediction("a"), make_prediction("b")])
    again = [make_prediction("b", valid=False)]
    write.save_predictions(live, "run1", again)
    assert Warehouse(live).predictions("run1") == again
    assert Warehouse(live).query("SELECT * FROM predicted_attributes").rows == ()


def test_a_prediction_twice_in_one_variant_is_refused(live: Path, make_prediction: Callable[..., Prediction]) -> None:
    with pytest.raises(FvrecError, match="same key"):
        write.save_predictions(live, "run1", [make_prediction("a"), make_prediction("a", valid=False)])


def test_metrics_of_several_calls_stay_and_repeats_replace(live: Path) -> None:
    first = [Metric("rl", "ndcg", 0.5, strategy="mmr", k=10, params={"trade_off": 0.3}, n=20)]
    second = [replace(first[0], value=0.6, params={"trade_off": 0.7}, ci_low=0.5, ci_high=0.7)]
    for batch in (first, second, [replace(first[0], value=0.55)]):
        write.save_metrics(live, "run1", batch)
    write.save_metrics(live, "run2", [replace(first[0], value=0.1)])
    assert Warehouse(live).metrics(run_id="run1") == [replace(first[0], value=0.55), *second]
    with pytest.raises(FvrecError, match="same key"):
        write.save_metrics(live, "run1", [first[0], replace(first[0], value=0.9)])


def test_metrics_without_a_run_are_those_of_the_newest_complete_runs(live: Path, make_run: Callable[..., Run]) -> None:
    runs = [
        make_run("old", hour=9),
        make_run("new", hour=10),
        make_run("unfinished", hour=11, status="running", finished_at=None),
        make_run("other preset", hour=8, preset="smoke"),
    ]
    for value, run in enumerate(runs):
        write.save_run(live, run)
        write.save_metrics(live, run.run_id, [Metric("extract", "micro_f1", float(value), preset=run.preset)])
    assert [metric.value for metric in Warehouse(live).metrics(stage="extract")] == [3.0, 1.0]


def test_the_rest_comes_back_too(live: Path) -> None:
    confusions = [Confusion("lora", "image", "raw", "test", "color", "blue", "red", 3)]
    points = [
        CurvePoint("sft", "loss", 0.0, 2.5, {"model": "sft"}),
        CurvePoint("sft", "loss", 1.0, 1.5, {"model": "sft"}),
    ]
    other = [CurvePoint("sft", "loss", 0.0, 2.0, {"model": "lora"})]
    lists = [Ranking("q1", "mmr", place, f"i{place}", 1.0 - place, "blue", {"color": "blue"}) for place in range(3)]
    for _ in range(2):
        write.save_confusions(live, "run1", confusions)
        write.save_curves(live, "run1", points)
        write.save_curves(live, "run1", other)
        write.save_rankings(live, "run1", lists)
    write.save_rankings(live, "run1", lists[:2])
    store = Warehouse(live)
    assert store.confusions("run1") == confusions
    assert store.curves("run1") == [*other, *points]
    assert store.rankings("run1", "mmr") == lists[:2]
    with pytest.raises(FvrecError, match="same key"):
        write.save_rankings(live, "run1", [lists[0], replace(lists[1], position=0)])


def test_users_and_what_they_bought(live: Path) -> None:
    taste = {"color": {"blue": 0.75, "red": 0.25}}
    users = [User("u1", "shop", "train", taste, taste), User("u2", "shop", "test", taste, {"color": {"blue": 1.0}})]
    bought = [Interaction("u1", "a", "shop", "purchase", datetime(2026, 3, 1, tzinfo=UTC))]
    for _ in range(2):
        write.save_users(live, "shop", users, bought)
    store = Warehouse(live)
    assert store.users("shop") == users
    assert store.users("shop", "test") == users[1:]
    assert store.interactions("shop") == bought
    with pytest.raises(FvrecError, match="another source"):
        write.save_users(live, "elsewhere", users)


def test_customers_and_simulated_users_do_not_replace_each_other(live: Path) -> None:
    def person(user_id: str, source: str = "shop") -> User:
        return User(user_id, source, "train", {}, {})

    def bought(user_id: str, kind: str, source: str = "shop") -> Interaction:
        return Interaction(user_id, "a", source, kind, datetime(2026, 3, 1, tzinfo=UTC))

    write.save_users(live, "mall", [person("ann", "mall")], [bought("ann", "purchase", "mall")], kind="purchase")
    write.save_users(live, "shop", [person("ann"), person("bob")], [bought(u, "purchase") for u in ("ann", "bob")])
    write.save_users(live, "shop", [person("sim")], [bought("sim", "simulated")], kind="simulated")
    write.save_users(live, "shop", [person("bob")], [bought("bob", "purchase")], kind="purchase")
    store = Warehouse(live)
    assert [user.user_id for user in store.users("shop")] == ["bob", "sim"]
    kinds = {one.user_id: one.kind for one in store.interactions("shop")}
    assert kinds == {"bob": "purchase", "sim": "simulated"}
    assert [user.user_id for user in store.users("mall")] == ["ann"]
    with pytest.raises(FvrecError, match="another kind"):
        write.save_users(live, "shop", [person("bob")], [bought("bob", "like")], kind="purchase")
    with pytest.raises(FvrecError, match=r"no interaction of this kind.*idle"):
        write.save_users(live, "shop", [person("idle")], kind="purchase")
    assert len(store.users("shop")) == 2


def test_clear_run_forgets_what_a_run_saved(live: Path, make_run: Callable[..., Run]) -> None:
    write.save_run(live, make_run("run1", status="running", finished_at=None))
    for run_id in ("run1", "run2"):
        write.save_metrics(live, run_id, [Metric("extract", "micro_f1", 0.5)])
    empty = Warehouse(live).fingerprint("never")
    write.clear_run(live, "run1")
    assert Warehouse(live).fingerprint("run1") == empty
    assert len(Warehouse(live).metrics(run_id="run2")) == 1
    assert Warehouse(live).run("run1") is not None


def test_embeddings_come_in_the_order_asked_for(live: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    write.save_embeddings(
        live, "shop", (Embedding(f"i{n}", "tower", tuple(row.tolist())) for n, row in enumerate(rows))
    )
    write.save_embeddings(live, "other", [Embedding("i1", "tower", (0.0,) * 5)])
    store = Warehouse(live)
    np.testing.assert_array_equal(store.embeddings(["i2", "i0", "i2"], "tower"), rows[[2, 0, 2]])
    np.testing.assert_array_equal(store.embeddings(["i1"], source="shop"), rows[[1]])
    assert store.embeddings([], "tower").shape[0] == 0
    with pytest.raises(FvrecError, match="several sources"):
        store.embeddings(["i1"], "tower")
    with pytest.raises(FvrecError, match="i9"):
        store.embeddings(["i0", "i9"], "tower")
    with pytest.raises(FvrecError, match="tower"):
        store.embeddings(["i0"], "no such model")


def test_vectors_may_be_the_only_ones_of_their_source(live: Path) -> None:
    write.save_embeddings(live, "shop", [Embedding("a", "old", (5.0,))])
    write.save_embeddings(live, "other", [Embedding("a", "old", (6.0,))])
    with pytest.raises(FvrecError, match="not finite"):
        write.save_embeddings(live, "shop", [Embedding("a", "new", (float("nan"),))], alone=True)
    assert Warehouse(live).embedding_models("shop") == ["old"]
    write.save_embeddings(live, "shop", [Embedding("a", "new", (7.0, 8.0))], alone=True)
    assert Warehouse(live).embedding_models("shop") == ["new"]
    assert Warehouse(live).embedding_models("other") == ["old"]


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [
        ([Embedding("a", "t", (1.0,)), Embedding("a", "t", (2.0,))], "two vectors"),
        ([Embedding("a", "t", (1.0,)), Embedding("b", "t", (2.0, 3.0))], "differ in length"),
        ([Embedding("a", "t", (float("nan"),))], "not finite"),
    ],
)
def test_bad_embeddings_leave_the_old_ones(live: Path, embeddings: list[Embedding], message: str) -> None:
    write.save_embeddings(live, "shop", [Embedding("a", "t", (5.0,))])
    with pytest.raises(FvrecError, match=message):
        write.save_embeddings(live, "shop", embeddings)
    assert Warehouse(live).embeddings(["a"], "t").tolist() == [[5.0]]


def test_latest_run_is_the_newest_complete_one(live: Path, make_run: Callable[..., Run]) -> None:
    newest = make_run("c", hour=12)
    for run in (
        make_run("a", hour=10),
        newest,
        make_run("b", hour=11),
        make_run("d", hour=13, status="failed"),
        make_run("e", hour=14, source="other"),
        make_run("f", hour=15, preset="smoke"),
    ):
        write.save_run(live, run)
    store = Warehouse(live)
    assert store.latest_run("extract", "shop", "tiny") == newest
    assert store.latest_run("extract", "shop") == make_run("f", hour=15, preset="smoke")
    assert store.latest_run("rl", "shop") is None
    write.save_run(live, replace(newest, status="failed"))
    assert store.latest_run("extract", "shop", "tiny") == make_run("b", hour=11)
    assert len(store.runs()) == 6


def test_fingerprints_notice_any_change_and_no_rewriting(
    live: Path, make_item: Callable[..., Item], make_prediction: Callable[..., Prediction]
) -> None:
    store = Warehouse(live)
    items, rows = [make_item(f"i{n}") for n in range(4)], [make_prediction(f"i{n}") for n in range(4)]

    def state() -> tuple[dict[str, str], dict[str, str]]:
        return store.fingerprint("run1"), store.fingerprint_source("shop")

    def save(chosen: list[Item], answers: list[Prediction]) -> None:
        write.save_items(live, "shop", chosen, [])
        write.save_predictions(live, "run1", answers)

    save(items, rows)
    before = state()
    save([replace(item, ingested_at=item.ingested_at + timedelta(days=1)) for item in items[::-1]], rows[::-1])
    assert state() == before
    save([replace(items[0], title="other"), *items[1:]], rows)
    assert state()[1]["items"] != before[1]["items"]
    assert state()[1]["item_attributes"] == before[1]["item_attributes"]
    save(items, rows[1:])
    assert state()[0]["predictions"].startswith("3:")
    assert state()[0]["predicted_attributes"] != before[0]["predicted_attributes"]
    save(items, rows)
    assert state() == before
    write.save_metrics(live, "run2", [Metric("extract", "micro_f1", 0.5)])
    assert state() == before


def test_rows_of_one_value_lie_together(
    live: Path, make_item: Callable[..., Item], make_prediction: Callable[..., Prediction]
) -> None:
    """A filter by value then reads the blocks of that value only; by item it would read all of a million."""
    write.save_items(live, "shop", [make_item(name) for name in "cab"], [])
    write.save_predictions(live, "run", [make_prediction(name) for name in "cab"])
    for relation in ("item_attributes", "predicted_attributes"):
        rows = Warehouse(live).query(f'SELECT field, "value", item_id FROM {relation} ORDER BY rowid').rows
        assert len(rows) == 30
        assert list(rows) == sorted(rows)
