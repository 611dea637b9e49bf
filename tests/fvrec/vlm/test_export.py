"""The Parquet files that MiniMind-V trains from."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fvrec.errors import FvrecError
from fvrec.prompts import IMAGE_PLACEHOLDER, SYSTEM
from fvrec.records import AttributeValue, Item
from fvrec.schema import FIELDS, parse_answer
from fvrec.vlm.export import ROW_GROUP, ExportCount, export_parquet, read_parquet
from fvrec.vlm.samples import sft_samples, to_line
from tests.fvrec.myntra_folder import write_photo


def item(number: int) -> Item:
    values = {field: AttributeValue("unknown", "unknown") for field in FIELDS}
    values |= {"category": AttributeValue("dress", "source"), "color": AttributeValue("red", "source")}
    return Item(
        f"i{number}", "x", "g", "train", f"images/{number % 3}.jpg", "0" * 64, f"dress {number}", "", {}, values
    )


def sample_file(root: Path, items: int) -> Path:
    for number in range(3):
        write_photo(root / "images" / f"{number}.jpg", number)
    file = root / "train.jsonl"
    made = sft_samples([item(number) for number in range(items)])
    file.write_text("".join(to_line(sample) + "\n" for sample in made.samples), encoding="utf-8")
    return file


def test_the_layout_is_minimind_vs(tmp_path: Path) -> None:
    """What its ``VLMDataset`` does with a row: JSON turns with role and content, bytes that Pillow opens."""
    count = export_parquet(sample_file(tmp_path, 4), tmp_path / "out" / "train.parquet", root=tmp_path, image_size=64)
    assert count == ExportCount(rows=12, with_photo=8, items=4)
    schema = pq.read_schema(tmp_path / "out" / "train.parquet")
    assert [(field.name, field.type) for field in schema] == [
        ("conversations", pa.string()),
        ("image_bytes", pa.binary()),
    ]
    for at, (turns, data) in enumerate(read_parquet(tmp_path / "out" / "train.parquet")):
        assert [turn["role"] for turn in turns] == ["system", "user", "assistant"]
        assert turns[0]["content"] == SYSTEM
        assert parse_answer(turns[2]["content"]).schema_valid
        shown = at % 3 != 1  # image, title, image_title
        assert turns[1]["content"].count(IMAGE_PLACEHOLDER) == shown
        with Image.open(BytesIO(data)) as photo:
            assert (photo.format, photo.mode, photo.size) == ("JPEG", "RGB", (64, 64) if shown else (8, 8))
            assert shown or not np.asarray(photo).any()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["train.parquet"]


def test_the_photo_is_the_items_own(tmp_path: Path) -> None:
    export_parquet(sample_file(tmp_path, 3), tmp_path / "t.parquet", root=tmp_path, image_size=80)
    shown = [data for turns, data in read_parquet(tmp_path / "t.parquet") if IMAGE_PLACEHOLDER in turns[1]["content"]]
    for number in range(3):
        with Image.open(tmp_path / "images" / f"{number}.jpg") as photo:
            wanted = np.asarray(photo.convert("RGB").resize((80, 80)), dtype=float)
        difference = [np.abs(np.asarray(Image.open(BytesIO(data)), dtype=float) - wanted).mean() for data in shown]
        assert set(np.argsort(difference)[:2]) == {2 * number, 2 * number + 1}


def test_rows_are_written_in_groups(tmp_path: Path) -> None:
    items = ROW_GROUP // 3 + 2
    export_parquet(sample_file(tmp_path, items), tmp_path / "t.parquet", root=tmp_path, image_size=8)
    metadata = pq.ParquetFile(tmp_path / "t.parquet").metadata
    assert [metadata.row_group(at).num_rows for at in range(2)] == [ROW_GROUP, 3 * items - ROW_GROUP]


def test_missing_samples_and_a_vanished_photo_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(FvrecError, match=r"no SFT samples yet.*fvrec sft-data"):
        export_parquet(tmp_path / "no.jsonl", tmp_path / "t.parquet", root=tmp_path)
    file = sample_file(tmp_path, 3)
    (tmp_path / "images" / "2.jpg").unlink()
    with pytest.raises(FvrecError, match=r"cannot be read.*images/2.jpg"):
        export_parquet(file, tmp_path / "out" / "t.parquet", root=tmp_path)
    assert list((tmp_path / "out").iterdir()) == []
