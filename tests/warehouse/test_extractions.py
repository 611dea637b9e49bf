"""Which variants a page may offer, and that the list agrees with what ``candidates`` then reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fvrec.records import Embedding, Extraction, Item, Prediction, Run
from warehouse import write
from warehouse.read import Warehouse


def test_variants_are_counted_in_their_newest_complete_run(
    live: Path,
    make_item: Callable[..., Item],
    make_prediction: Callable[..., Prediction],
    make_run: Callable[..., Run],
) -> None:
    write.save_items(live, "shop", [make_item("a"), make_item("b"), make_item("c", split="val")], [])
    write.save_run(live, make_run("older", hour=10))
    write.save_predictions(live, "older", [make_prediction("a"), make_prediction("b"), make_prediction("c")])
    write.save_run(live, make_run("newest", hour=11, preset="smoke"))
    write.save_predictions(live, "newest", [make_prediction("a"), make_prediction("c", valid=False)])
    write.save_run(live, make_run("failed", hour=12, status="failed"))
    write.save_predictions(live, "failed", [make_prediction("a"), make_prediction("a", model="sft")])
    write.save_predictions(live, "older", [make_prediction("b", model="base", valid=False)])

    assert Warehouse(live).extractions("shop") == [
        Extraction("older", "shop", "tiny", "base", "image", "raw", "test", items=1, valid=0),
        Extraction("newest", "shop", "smoke", "lora", "image", "raw", "test", items=1, valid=1),
        Extraction("newest", "shop", "smoke", "lora", "image", "raw", "val", items=1, valid=0),
    ]
    assert Warehouse(live).extractions("elsewhere") == []


def test_embedding_models_are_those_of_the_source(live: Path, make_item: Callable[..., Item]) -> None:
    write.save_items(live, "shop", [make_item("a")], [])
    write.save_embeddings(live, "shop", [Embedding("a", "tower", (1.0,))])
    assert Warehouse(live).embedding_models("shop") == ["tower"]
    assert Warehouse(live).embedding_models("elsewhere") == []
