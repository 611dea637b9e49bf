"""Whoever was trained on, however renamed, is recognised by photo or by design."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fvrec.errors import FvrecError
from fvrec.records import Item
from fvrec.vlm.trained_on import RECORD_FILE, TrainingRecord


def item(number: int, source: str = "shop") -> Item:
    return Item(str(number), source, f"group{number}", "train", "p", f"hash{number}", "", "", {}, {})


RECORD = TrainingRecord.of([item(1), item(2)], source="shop", preset="tiny")


@pytest.mark.parametrize(
    ("other", "seen"),
    [
        (item(1), True),
        (replace(item(1), item_id="new", group_id="new"), True),  # the same photo under another name
        (replace(item(2), image_sha256="new"), True),  # another photo of the same design
        (item(3), False),
        (replace(item(2, "market"), image_sha256="new"), False),  # groups are named within their source
        (item(2, "market"), True),
    ],
)
def test_seen_is_the_photo_or_the_group(other: Item, seen: bool) -> None:
    assert RECORD.saw(other) is seen


def test_designs_of_another_drawing_are_others_whatever_their_number() -> None:
    record = TrainingRecord.of([item(1, "embedded")], source="embedded", preset="tiny")
    assert record.saw(item(1, "embedded"))
    assert not record.saw(replace(item(1, "embedded"), image_sha256="drawn with another seed"))


def test_it_comes_back_from_disk(tmp_path: Path) -> None:
    assert TrainingRecord.read(tmp_path) is None
    RECORD.write(tmp_path)
    assert TrainingRecord.read(tmp_path) == RECORD
    (tmp_path / RECORD_FILE).write_text('{"source": "shop"}')
    with pytest.raises(FvrecError, match="cannot be read"):
        TrainingRecord.read(tmp_path)
