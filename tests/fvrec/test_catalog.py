import json
import struct
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fvrec import catalog
from fvrec.catalog.grouping import place, split_of
from fvrec.catalog.spool import Spool
from fvrec.errors import FvrecError, SanityError
from fvrec.imaging import ImageError, read_image
from fvrec.records import Item
from fvrec.sources import open_source
from fvrec.sources.base import RawRow, complete
from tests.fvrec.myntra_folder import line, write_folder, write_photo
from warehouse.encode import to_json

REAL = Path(__file__).parents[2] / "data" / "raw" / "myntra"
needs_myntra = pytest.mark.skipif(not (REAL / "styles.csv").is_file(), reason="data/raw/myntra is not unpacked")


def built(raw_dir: Path, root: Path | None = None) -> catalog.Catalog:
    return catalog.build(open_source("myntra", raw_dir), root=root or raw_dir.parent)


@pytest.fixture
def raw_dir(tmp_path: Path) -> Path:
    """Twelve good products, every second pair of one name."""
    ids = [str(number) for number in range(12)]
    return write_folder(tmp_path / "raw", [line(i, f"Name {int(i) // 2}") for i in ids], photos=ids)


def reasons(result: catalog.Catalog) -> dict[str, str]:
    return {rejected.detail.partition(":")[0]: rejected.reason for rejected in result.quarantined}


def test_every_row_becomes_an_item_or_is_quarantined_with_its_reason(raw_dir: Path) -> None:
    images = raw_dir / "images"
    (images / "0.jpg").unlink()
    whole = (images / "1.jpg").read_bytes()
    (images / "1.jpg").write_bytes(whole[: len(whole) // 2])
    (images / "2.jpg").write_bytes(b"")
    (images / "3.jpg").write_text("no photo at all")
    (images / "4.jpg").write_bytes(_png_header(50_000, 50_000))
    result = built(raw_dir)
    assert reasons(result) == {
        "0": "image_missing", "1": "image_unreadable", "2": "image_unreadable", "3": "image_unreadable",
        "4": "image_too_large",
    }  # fmt: skip
    assert [item.item_id for item in result.items] == [str(number) for number in range(5, 12)]
    assert result.rows_in == 12


def test_a_truncated_photo_is_one_that_verify_would_pass(raw_dir: Path) -> None:
    path = raw_dir / "images" / "1.jpg"
    path.write_bytes(path.read_bytes()[:-400])
    with Image.open(path) as image:
        image.verify()
    with pytest.raises(ImageError, match="truncated"):
        read_image(path)


def test_the_second_row_of_an_id_is_rejected(tmp_path: Path) -> None:
    result = built(write_folder(tmp_path / "raw", [line("1", "first"), line("1", "second")], photos=["1"]))
    assert [item.title for item in result.items] == ["first"]
    assert [rejected.reason for rejected in result.quarantined] == ["duplicate_id"]


def test_a_photo_that_links_out_of_the_raw_folder_is_not_read(raw_dir: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "secret.jpg", 99)
    link = raw_dir / "images" / "3.jpg"
    link.unlink()
    link.symlink_to(tmp_path / "secret.jpg")
    result = built(raw_dir)
    assert [rejected.reason for rejected in result.quarantined] == ["path_outside"]
    assert "3" not in {item.item_id for item in result.items}


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "raw", [line("1", "x")], photos=["2"])
    with pytest.raises(FvrecError, match=r"no usable product.*image_missing"):
        built(folder)


def test_image_paths_are_relative_below_the_root_and_absolute_elsewhere(raw_dir: Path, tmp_path: Path) -> None:
    assert built(raw_dir).items[0].image_path == "raw/images/0.jpg"
    elsewhere = built(raw_dir, tmp_path / "other").items[0].image_path
    assert elsewhere == str((raw_dir / "images" / "0.jpg").resolve())


def test_photos_are_turned_upright_and_become_rgb(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    Image.new("RGB", (40, 20), "red").save(path, exif=exif)
    assert read_image(path).size == (20, 40)
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255)
    for mode in ("P", "L", "1", "CMYK", "I;16"):
        name = tmp_path / f"{mode[:1]}.tif"
        Image.new(mode, (4, 4)).save(name)
        assert read_image(name).mode == "RGB"


def assert_no_leak(items: tuple[Item, ...], keys: dict[str, str]) -> None:
    """No design name, group or photo is in two splits."""
    for trait in (lambda i: keys[i.item_id], lambda i: i.group_id, lambda i: i.image_sha256):
        splits = defaultdict(set)
        for item in items:
            splits[trait(item)].add(item.split)
        assert {len(found) for found in splits.values()} == {1}


def group_keys(source_name: str, raw_dir: Path, **options: int) -> dict[str, str]:
    return {row.item_id: row.group_key for row in open_source(source_name, raw_dir, **options).rows()}  # type: ignore[union-attr]


def test_no_design_and_no_photo_is_in_two_splits_embedded(tmp_path: Path) -> None:
    result = catalog.build(open_source("embedded", tmp_path / "raw", items=120, seed=3), root=tmp_path)
    assert_no_leak(result.items, group_keys("embedded", tmp_path / "raw", items=120, seed=3))
    assert {item.split for item in result.items} == {"train", "val", "test"}
    assert len({item.group_id for item in result.items}) < len(result.items)


@needs_myntra
@pytest.mark.real_data
def test_no_name_and_no_photo_is_in_two_splits_real() -> None:
    result = catalog.build(open_source("myntra", REAL), root=REAL.parents[2])
    with (REAL / "styles.csv").open(encoding="utf-8") as table:
        listed = sum(1 for _ in table) - 1
    assert result.rows_in == len(result.items) + len(result.quarantined) == listed >= 10_000
    assert len(result.items) / result.rows_in >= 0.99
    assert_no_leak(result.items, group_keys("myntra", REAL))
    shares = [
        sum(item.split == split for item in result.items) / len(result.items) for split in ("train", "val", "test")
    ]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.02)


def test_the_same_photo_under_two_names_binds_their_groups(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "raw", [line("1", "Alpha"), line("2", "Beta"), line("3", "beta!")], photos=["1", "3"]
    )
    (folder / "images" / "2.jpg").write_bytes((folder / "images" / "1.jpg").read_bytes())
    items = built(folder).items
    assert len({item.group_id for item in items}) == 1
    assert len({item.image_sha256 for item in items}) == 2


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=30))
def test_groups_are_the_connected_components(pairs: list[tuple[int, int]]) -> None:
    placements = place([f"key{key}" for key, _ in pairs], [f"photo{photo}" for _, photo in pairs])
    reachable = [_reach(pairs, start) for start in range(len(pairs))]
    for a in range(len(pairs)):
        for b in range(len(pairs)):
            assert (placements[a].group_id == placements[b].group_id) == (b in reachable[a])
            if b in reachable[a]:
                assert placements[a].split == placements[b].split


def _reach(pairs: list[tuple[int, int]], start: int) -> set[int]:
    seen, waiting = {start}, [start]
    while waiting:
        key, photo = pairs[waiting.pop()]
        for other, (its_key, its_photo) in enumerate(pairs):
            if other not in seen and (its_key == key or its_photo == photo):
                seen.add(other)
                waiting.append(other)
    return seen


def test_new_products_of_new_groups_move_nothing() -> None:
    keys = [f"name {number}" for number in range(500)]
    before = place(keys, keys)
    after = place([*(f"later {number}" for number in range(200)), *keys], [*map(str, range(200)), *keys])
    assert after[200:] == before


def test_split_shares() -> None:
    splits = [split_of(f"group {number}") for number in range(20_000)]
    assert [splits.count(split) / len(splits) for split in ("train", "val", "test")] == pytest.approx(
        [0.8, 0.1, 0.1], abs=0.01
    )


def test_items_survive_the_file(raw_dir: Path, tmp_path: Path) -> None:
    items = built(raw_dir).items
    path = tmp_path / "out" / "items.jsonl"
    catalog.write_items(path, items)
    assert tuple(catalog.read_items(path)) == items
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(
        '{"item_id": "0", "image_path": "raw/images/0.jpg", "title": "Name 0", "desc": null, "raw": {'
    )
    assert [entry.name for entry in path.parent.iterdir()] == ["items.jsonl"]


def test_a_broken_item_file_names_its_line(raw_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    with pytest.raises(FvrecError, match="missing"):
        catalog.read_items(path)
    catalog.write_items(path, built(raw_dir).items[:2])
    path.write_text(path.read_text() + '{"item_id": "x"}\n')
    with pytest.raises(FvrecError, match=r"items\.jsonl:3"):
        catalog.read_items(path)


def test_the_profile_counts_by_hand(tmp_path: Path) -> None:
    lines = [line("1", "a", color="Red"), line("2", "a", color="Red"), line("3", "b", color="Multi"), line("4", "c"),
             line("5", "d"), line("", "e")]  # fmt: skip
    folder = write_folder(tmp_path / "raw", lines, photos=["1", "3", "4"])
    (folder / "images" / "2.jpg").write_bytes((folder / "images" / "1.jpg").read_bytes())
    source = open_source("myntra", folder)
    metrics = catalog.profile(catalog.build(source, root=tmp_path), source)

    def value(metric: str, **where: str) -> float:
        keys = {"slice": "", "field": "", "split": "", **where}
        (found,) = [m for m in metrics if m.metric == metric and all(getattr(m, k) == v for k, v in keys.items())]
        assert (found.stage, found.source) == ("ingest", "myntra")
        return found.value

    assert (value("rows_in"), value("items"), value("quarantined")) == (6, 4, 2)
    assert value("quarantined", slice="image_missing") == value("quarantined", slice="missing_id") == 1
    assert (value("readable_share"), value("unreadable_share")) == (4 / 5, 1 - 4 / 5)
    assert (value("duplicate_images"), value("groups")) == (1, 3)
    assert value("value_share", field="color", slice="red") == 2 / 4
    assert value("value_count", field="color", slice="blue") == 1
    assert value("unknown_share", field="color") == 1 / 4
    assert value("unknown_share", field="material") == 1
    assert (value("supervised", field="color"), value("supervised", field="material")) == (1, 0)
    assert value("other_share", field="category") == 0
    assert sum(value("items", split=split) for split in ("train", "val", "test", "excluded")) == 4


def test_the_check_passes_what_was_built_and_stops_on_an_altered_photo(raw_dir: Path) -> None:
    lines = [line(str(n), f"Name {n}", color="Red" if n % 2 else "Blue") for n in range(12)]
    result = built(write_folder(raw_dir, lines, photos=[]))
    catalog.check(result, root=raw_dir.parent, seed=1)
    write_photo(raw_dir / "images" / "5.jpg", 1234)
    with pytest.raises(SanityError, match="not the one that was ingested"):
        catalog.check(result, root=raw_dir.parent, seed=1)
    (raw_dir / "images" / "5.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(SanityError, match="does not decode"):
        catalog.check(result, root=raw_dir.parent, seed=1)


def test_the_check_stops_on_a_catalogue_of_one_kind(raw_dir: Path) -> None:
    with pytest.raises(SanityError, match="one category and one colour"):
        catalog.check(built(raw_dir), root=raw_dir.parent, seed=1)


def test_lost_rows_stop_the_run(raw_dir: Path) -> None:
    result = built(raw_dir)
    with pytest.raises(FvrecError, match="lost or invented"):
        catalog.Catalog(result.items[1:], result.quarantined, result.rows_in)
    with pytest.raises(FvrecError, match="two items"):
        catalog.Catalog((result.items[0], result.items[0]), (), 2)


def test_processes_and_one_process_agree(tmp_path: Path) -> None:
    ids = [str(number) for number in range(320)]
    folder = write_folder(tmp_path / "raw", [line(i, f"Name {i}") for i in ids], photos=ids)
    (folder / "images" / "7.jpg").write_bytes(b"broken")
    seen: list[object] = []

    def progress(photos):  # type: ignore[no-untyped-def]
        assert len(photos) == 320
        for photo in photos:
            seen.append(photo)
            yield photo

    source = open_source("myntra", folder)
    pooled = catalog.build(source, root=tmp_path, workers=2, progress=progress)
    assert pooled == catalog.build(source, root=tmp_path, workers=1)
    assert len(seen) == 320
    assert reasons(pooled) == {"7": "image_unreadable"}


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(np.zeros(64, np.uint8))))


def test_numbers_that_are_not_finite_are_null_in_raw(tmp_path: Path) -> None:
    raw = {"price": float("nan"), "sizes": [1.5, float("inf")], "more": {"low": np.float32("-inf"), "name": "x"}}
    row = RawRow("1", "g", tmp_path / "1.jpg", "t", "", raw, complete({}))
    spool = Spool(tmp_path)
    spool.append(row, "1.jpg")
    spool.finish()
    said = next(iter(spool)).raw
    assert said == {"price": None, "sizes": [1.5, None], "more": {"low": None, "name": "x"}}
    assert json.loads(to_json(said)) == said


class Elsewhere:
    """A runner whose machine finds something else at some paths."""

    def __init__(self, instead: Mapping[str, str]) -> None:
        self._instead = instead

    def submit(self, function: Callable[[Any], Any], shard: Any) -> Future[Any]:
        answer: Future[Any] = Future()
        answer.set_result(function("\0".join(self._instead.get(path, path) for path in shard.split("\0"))))
        return answer


def test_a_worker_without_the_raw_folder_costs_no_row(raw_dir: Path) -> None:
    source, image = open_source("myntra", raw_dir), raw_dir / "images" / "7.jpg"
    half = raw_dir / "half.jpg"
    half.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
    for seen, why in ((raw_dir / "not mounted", "image_missing"), (half, "image_unreadable")):
        other = Elsewhere({str(image): str(seen)})
        with pytest.raises(FvrecError, match=rf"a worker does not see the raw folder; where: {image}; .*{why}"):
            catalog.build(source, root=raw_dir.parent, runner=other)


def test_a_photo_that_is_bad_here_too_is_quarantined_whoever_reads_it(raw_dir: Path) -> None:
    (raw_dir / "images" / "7.jpg").write_text("no photo at all")
    result = catalog.build(open_source("myntra", raw_dir), root=raw_dir.parent, runner=Elsewhere({}))
    assert reasons(result) == reasons(built(raw_dir)) == {"7": "image_unreadable"}
