"""The comparison of two roots that every drill rests on: what is the same is so, and what is not is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.state import Kept, _files

KEPT = Kept({"ingest: items": "d1"}, {"lora loss": 0.5, "f1": float("nan")}, ("a", "b"), {"sft": "c"})


def test_the_same_is_the_same() -> None:
    assert KEPT.differences(replace(KEPT, numbers={"lora loss": 0.5004, "f1": float("nan")})) == []


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (replace(KEPT, exact={"ingest: items": "d2"}), "ingest: items differs"),
        (replace(KEPT, exact={}), "ingest: items differs"),
        (replace(KEPT, numbers={"lora loss": 0.502, "f1": float("nan")}), "lora loss: 0.5 and 0.502"),
        (replace(KEPT, numbers={"lora loss": 0.5, "f1": 0.1}), "f1: nan and 0.1"),
        (replace(KEPT, numbers={"lora loss": 0.5}), "f1: nan and None"),
        (replace(KEPT, files=("a",)), "file only in one: b"),
        (replace(KEPT, configs={"sft": "other"}), "manifest of sft differs"),
    ],
)
def test_what_is_not_the_same_is_told(other: Kept, told: str) -> None:
    assert KEPT.differences(other) == [told]


def test_names_drawn_at_random_are_levelled(tmp_path: Path) -> None:
    for name in (
        "events.out.tfevents.1795883721.vm.1742.2",
        "shard-0123456789abcdef0123456789abcdef.npz",
        "items.jsonl",
    ):
        (tmp_path / name).touch()
    assert _files(tmp_path) == ("events.N", "items.jsonl", "shard-N.npz")
