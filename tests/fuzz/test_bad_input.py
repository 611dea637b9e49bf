"""Damaged photos and tables: no crash, no hang, no file read outside the raw folder, every row accounted for.

A sample runs always; ``FVREC_FUZZ=full python -m pytest tests/fuzz`` runs 4,000 photos and 1,250 tables.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from fvrec import catalog
from fvrec.catalog import Catalog
from fvrec.config import Settings
from fvrec.errors import FvrecError
from fvrec.imaging import ImageError, inspect_image, read_image
from fvrec.sources import open_source
from fvrec.sources.drafting import draft
from fvrec.sources.table import read_header, read_lines
from tests.fuzz.mutations import FORMATS, HEADER, PHOTO_MUTATIONS, SUFFIXES, photo, table
from tests.fuzz.watch import Opened, opened_files, outside
from tests.fvrec.myntra_folder import write_photo

FULL = os.environ.get("FVREC_FUZZ") == "full"
PHOTOS, TABLES = (4000, 1000) if FULL else (160, 32)
BATCH = 40
SECONDS_A_PHOTO, SECONDS_A_TABLE = 5.0, 20.0
MAPPING = """
[table]
file = "shop.csv"
[columns]
id = "id"
title = "title"
image = "image"
[images]
folder = "images"
[fields.category]
column = "category"
values = { dress = "dress", "连衣裙" = "dress", shirt = "shirt" }
[fields.color]
column = "color"
values = { red = "red", "大红" = "red" }
[fields.gender]
column = "gender"
values = { women = "female", "男" = "male" }
"""


def shop(folder: Path) -> Path:
    """A raw folder with four good photos, and a secret outside that links in the folder lead to."""
    secret = folder.parent / "secret.jpg"
    write_photo(secret, 99)
    (folder / "images").mkdir(parents=True)
    for number in range(4):
        write_photo(folder / "images" / f"{number}.jpg", number)
    (folder / "images" / "link.jpg").symlink_to(secret)
    (folder / "images" / "linked").symlink_to(folder.parent)
    (folder / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    return secret


def built(name: str, raw: Path) -> tuple[Catalog | None, Opened]:
    """The catalogue, or None for input that was refused as a whole; and every file that was opened."""
    with opened_files() as seen:
        try:
            return catalog.build(open_source(name, raw), root=raw.parent, workers=1), seen
        except FvrecError:
            return None, seen


def test_the_inputs_of_an_ingest_are_listed_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FVREC_ROOT", str(tmp_path))
    from tasks.ingest import ingest

    raw = tmp_path / "raw"
    shop(raw)
    (raw / "shop.csv").write_text(",".join(HEADER) + "\ni0,t,dress,red,women,0.jpg\n", encoding="utf-8")
    settings = Settings(root=tmp_path, source="tabular", raw=raw)
    seen = {ingest.external(settings)["raw"]}
    (raw / "images" / "memory.jpg").symlink_to("/proc/self/mem")
    seen.add(ingest.external(settings)["raw"])
    Path(os.fsdecode(os.fsencode(raw) + "/照片.jpg".encode("gbk"))).write_bytes(b"x")
    with opened_files() as opened:
        seen.add(ingest.external(settings)["raw"])
    assert len(seen) == 3
    assert outside(opened, raw) == []
    assert not [path for path in opened.read if path.endswith(".jpg")]


def photo_name(number: int, form: str, random: np.random.Generator) -> str:
    wrong = str(random.choice(FORMATS))
    return f"m{number}{SUFFIXES[wrong if random.random() < 0.2 else form]}"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("batch", range(PHOTOS // BATCH))
def test_damaged_photos(tmp_path: Path, batch: int) -> None:
    random = np.random.default_rng([20, batch])
    raw = tmp_path / "raw"
    shop(raw)
    names = ["0.jpg"]
    for number in range(BATCH):
        form = FORMATS[number % len(FORMATS)]
        mutate = PHOTO_MUTATIONS[int(random.integers(len(PHOTO_MUTATIONS)))]
        names.append(photo_name(number, form, random))
        (raw / "images" / names[-1]).write_bytes(mutate(photo(random, form), random))
    lines = [",".join(HEADER), *(f"i{at},t,dress,red,women,{name}" for at, name in enumerate(names))]
    (raw / "shop.csv").write_text("\n".join(lines), encoding="utf-8")
    result, seen = built("tabular", raw)
    assert result is not None
    assert result.rows_in == len(names) == len(result.items) + len(result.quarantined)
    assert {rejected.reason for rejected in result.quarantined} <= {"image_unreadable", "image_too_large"}
    assert outside(seen, raw) == []
    good = {item.image_path for item in result.items}
    for name in names:
        path = raw / "images" / name
        started = time.monotonic()
        inspection = inspect_image(path)
        assert time.monotonic() - started < SECONDS_A_PHOTO, name
        assert (f"raw/images/{name}" in good) == (not inspection.reason)
        _agrees(path, accepted=not inspection.reason)


def _agrees(path: Path, *, accepted: bool) -> None:
    """What was let in can be read whole later, as training will read it; anything else is an ImageError."""
    try:
        assert read_image(path).mode == "RGB"
    except ImageError:
        assert not accepted


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(TABLES))
def test_damaged_tables(tmp_path: Path, number: int) -> None:
    random = np.random.default_rng([21, number])
    raw = tmp_path / "raw"
    secret = shop(raw)
    damaged = table(random, secret=str(secret))
    (raw / "shop.csv").write_bytes(damaged.data)
    started = time.monotonic()
    result, seen = built("tabular", raw)
    assert result is not None or not damaged.sound
    if result is not None:
        assert result.rows_in == len(result.items) + len(result.quarantined)
        _every_row_is_seen(raw / "shop.csv", result.rows_in)
        assert damaged.sound <= {item.item_id for item in result.items}
        assert len({item.item_id for item in result.items}) == len(result.items)
        assert all(item.image_path.startswith("raw/images/") for item in result.items)
        assert set(Counter(rejected.reason for rejected in result.quarantined)) <= {
            "bad_row", "missing_id", "duplicate_id", "path_outside", "missing_category", "image_missing",
            "image_unreadable", "image_unreachable",
        }  # fmt: skip
    with opened_files() as drafted, suppress(FvrecError):
        draft(raw / "shop.csv")
    assert outside(seen, raw) == outside(drafted, raw) == []
    assert time.monotonic() - started < SECONDS_A_TABLE


def _every_row_is_seen(path: Path, rows_in: int) -> None:
    """As many rows as the table has, each beginning on a line of its own."""
    numbers = [line.number for line in read_lines(path, read_header(path, ()))]
    assert len(numbers) == rows_in
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("number", range(TABLES // 4))
def test_damaged_tables_in_myntras_layout(tmp_path: Path, number: int) -> None:
    random = np.random.default_rng([22, number])
    raw = tmp_path / "raw"
    secret = shop(raw)
    header = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName"
    first = table(random, secret=str(secret)).data.split(b"\n", 1)[-1]
    rows = b"\n".join(b",".join([row, *([b"x"] * 4)]) for row in first.split(b"\n"))
    (raw / "styles.csv").write_bytes(header.encode() + b"\n0,Men,A,T,Shirts,Red,Fall,2011,Casual,x\n" + rows)
    result, seen = built("myntra", raw)
    if result is not None:
        assert result.rows_in == len(result.items) + len(result.quarantined)
    assert outside(seen, raw) == []


def test_the_watch_notices_a_read_outside(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    secret = shop(raw)
    with opened_files() as seen:
        (raw / "images" / "link.jpg").read_bytes()
    assert outside(seen, raw) == [str(secret.resolve())]
