"""What the rerank gets from the warehouse, and that an answer can be made from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fvrec.errors import FvrecError
from fvrec.records import Embedding, Item, Prediction, Run
from fvrec.rerank.ask import FixedStore, ask
from fvrec.rerank.diversify import BaseRank
from fvrec.schema import FIELDS
from warehouse import write
from warehouse.db import publish
from warehouse.read import Warehouse

VARIANT = {"model": "lora", "inputs": "image", "mode": "raw"}


@pytest.fixture
def catalogue(
    live: Path,
    make_item: Callable[..., Item],
    make_prediction: Callable[..., Prediction],
    make_run: Callable[..., Run],
) -> Path:
    """Three test items (one answer invalid, one vector missing), one train item, two complete runs and a failed one."""
    items = [make_item("a"), make_item("b"), make_item("c"), make_item("d", split="train")]
    write.save_items(live, "shop", items, [])
    write.save_embeddings(live, "shop", [Embedding("a", "tower", (3.0, 4.0)), Embedding("b", "tower", (0.0, 2.0))])
    for run, color in (
        (make_run("newest", hour=11), "red"),
        (make_run("older", hour=10), "green"),
        (make_run("broken", hour=12, status="failed"), "pink"),
    ):
        write.save_run(live, run)
        answers = [make_prediction("a", color=color), make_prediction("b", valid=False), make_prediction("c")]
        write.save_predictions(live, run.run_id, answers)
    return live


def test_candidates_are_what_the_newest_complete_run_read(catalogue: Path) -> None:
    found = Warehouse(catalogue).candidates("shop", splits=["test"], **VARIANT)
    assert found.item_ids == ("a", "b", "c")
    assert [item.item_id for item in found.items] == ["a", "b", "c"]
    assert found.attributes[0]["color"] == "red"
    assert found.confidence[0]["color"] == 0.8
    assert set(found.attributes[1].values()) == {"unknown"}
    assert set(found.confidence[1]) == set(FIELDS)
    assert sum(found.confidence[1].values()) == 0.0
    np.testing.assert_allclose(found.embeddings, [[0.6, 0.8], [0.0, 1.0], [0.0, 0.0]], rtol=1e-6)


def test_an_older_run_is_used_where_only_it_has_the_variant(
    catalogue: Path, make_prediction: Callable[..., Prediction]
) -> None:
    write.save_predictions(catalogue, "older", [make_prediction("a", model="sft", color="black")])
    found = Warehouse(catalogue).candidates("shop", splits=["test"], **{**VARIANT, "model": "sft"})
    assert found.attributes[0]["color"] == "black"


def test_without_any_vectors_the_matrix_has_no_columns(
    live: Path, make_item: Callable[..., Item], make_prediction: Callable[..., Prediction], make_run: Callable[..., Run]
) -> None:
    write.save_items(live, "shop", [make_item("a")], [])
    write.save_run(live, make_run("run1"))
    write.save_predictions(live, "run1", [make_prediction("a")])
    assert Warehouse(live).candidates("shop", **VARIANT).embeddings.shape == (1, 0)


def test_what_is_missing_is_named(catalogue: Path, make_run: Callable[..., Run]) -> None:
    store = Warehouse(catalogue)
    with pytest.raises(FvrecError, match="fvrec ingest"):
        store.candidates("elsewhere", **VARIANT)
    with pytest.raises(FvrecError, match="model base"):
        store.candidates("shop", **{**VARIANT, "model": "base"})
    with pytest.raises(FvrecError, match="preset smoke"):
        store.candidates("shop", **VARIANT, preset="smoke")
    write.save_run(catalogue, replace(make_run("newest"), status="failed"))
    write.save_run(catalogue, replace(make_run("older"), status="failed"))
    with pytest.raises(FvrecError, match="nothing has been extracted"):
        store.candidates("shop", **VARIANT)


def test_two_embedding_models_must_be_told_apart(catalogue: Path) -> None:
    write.save_embeddings(catalogue, "shop", [Embedding("a", "another", (1.0,))])
    store = Warehouse(catalogue)
    with pytest.raises(FvrecError, match="another, tower"):
        store.candidates("shop", splits=["test"], **VARIANT)
    assert store.candidates("shop", splits=["test"], **VARIANT, embedding_model="another").embeddings.shape == (3, 1)


def test_a_question_is_answered_from_a_snapshot(catalogue: Path, snapshot: Path) -> None:
    publish(catalogue, snapshot)
    store = FixedStore(Warehouse(snapshot).candidates("shop", splits=["test"], **VARIANT))
    answer = ask(store, "a red dress", ranker=BaseRank(), k=2)
    assert answer.ranked[0].item.item_id == "a"
    assert answer.ranked[0].evidence["color"] == "red"


def test_the_version_changes_with_every_publication(catalogue: Path, snapshot: Path) -> None:
    store = Warehouse(snapshot)
    publish(catalogue, snapshot)
    first = store.version
    assert store.version == first
    publish(catalogue, snapshot)
    assert store.version != first
