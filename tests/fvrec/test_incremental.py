"""The second ingest: what has not changed costs nothing and stays, what has changed is noticed."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from fvrec import catalog
from fvrec.artifacts import digest_listing
from fvrec.catalog import known as known_photos
from fvrec.errors import FvrecError
from fvrec.records import Item, Placed
from fvrec.sources import open_source
from tests.fuzz.watch import opened_files
from tests.fvrec.myntra_folder import line, write_folder, write_photo

COUNT = 20


@pytest.fixture
def raw_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twenty products whose photos count as settled at once."""
    monkeypatch.setattr(known_photos, "SETTLED_NS", -1_000_000_000)
    return _write(tmp_path / "raw", {n: f"Name {n}" for n in range(COUNT)}, photos=range(COUNT))


def _write(folder: Path, titles: Mapping[int, str], photos: range = range(0)) -> Path:
    lines = [line(str(n), title, color="Red" if n % 2 else "Blue") for n, title in titles.items()]
    return write_folder(folder, lines, photos=[str(n) for n in photos])


def _build(raw_dir: Path, before: catalog.Catalog | None = None) -> catalog.Catalog:
    history = {} if before is None else {item.item_id: placed(item) for item in before.items}
    source = open_source("myntra", raw_dir)
    return catalog.build(source, root=raw_dir.parent, history=history, cache=raw_dir.parent / "cache")


def placed(item: Item) -> Placed:
    return Placed(
        item.group_id, item.split, item.group_key, item.image_sha256, item.image_phash, item.row_digest, False
    )


def test_unchanged_input_reads_no_photo_and_writes_no_item(raw_dir: Path) -> None:
    first = _build(raw_dir)
    second = _build(raw_dir, first)
    assert (first.photos_read, second.photos_read) == (COUNT, 0)
    assert second == first
    assert (second.changes.unchanged, len(second.changes.to_write)) == (COUNT, 0)
    assert list(second.items_to_write()) == []


def test_one_new_row_costs_one_photo_and_one_item(raw_dir: Path) -> None:
    first = _build(raw_dir)
    _write(raw_dir, {n: f"Name {n}" for n in range(COUNT + 1)})
    write_photo(raw_dir / "images" / f"{COUNT}.jpg", 777)
    second = _build(raw_dir, first)
    assert second.photos_read == 1
    assert [item.item_id for item in second.items_to_write()] == [str(COUNT)]
    assert tuple(second.items[:COUNT]) == tuple(first.items)


def test_a_changed_photo_and_a_changed_label_update_their_items(raw_dir: Path) -> None:
    first = _build(raw_dir)
    write_photo(raw_dir / "images" / "3.jpg", 888)
    _write(raw_dir, {n: "Other name" if n == 5 else f"Name {n}" for n in range(COUNT)})
    second = _build(raw_dir, first)
    assert second.photos_read == 1
    assert [item.item_id for item in second.items_to_write()] == ["3", "5"]
    assert second.items[5].title == "Other name"
    assert second.items[3].image_sha256 != first.items[3].image_sha256
    assert [item.split for item in second.items] == [item.split for item in first.items]


def test_a_photo_of_the_same_size_and_time_is_still_noticed(raw_dir: Path) -> None:
    first = _build(raw_dir)
    photo = raw_dir / "images" / "3.jpg"
    before, content = photo.stat(), bytearray(photo.read_bytes())
    content[-20] ^= 1
    time.sleep(0.02)
    photo.write_bytes(bytes(content))
    os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (photo.stat().st_size, photo.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    second = _build(raw_dir, first)
    assert second.photos_read == 1
    assert second.changes.changed == 1


def test_a_photo_that_was_written_a_moment_ago_is_read_again(raw_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_photos, "SETTLED_NS", 2_000_000_000)
    first = _build(raw_dir)
    assert _build(raw_dir, first).photos_read == COUNT


def test_vanished_and_returned_items_are_told_apart(raw_dir: Path) -> None:
    first = _build(raw_dir)
    _write(raw_dir, {n: f"Name {n}" for n in range(4, COUNT)})
    second = _build(raw_dir, first)
    assert second.changes.vanished == ("0", "1", "2", "3")
    history = {item.item_id: placed(item) for item in second.items}
    gone = {item.item_id: placed(item) for item in first.items[:4]}
    history |= {name: replace(one, vanished=True) for name, one in gone.items()}
    _write(raw_dir, {n: f"Name {n}" for n in range(2, COUNT)})
    third = catalog.build(open_source("myntra", raw_dir), root=raw_dir.parent, history=history)
    assert [item.item_id for item in third.items_to_write()] == ["2", "3"]
    assert (third.changes.returned, third.changes.vanished, third.changes.vanished_before) == (2, (), 2)
    assert third.items[0].split == first.items[2].split


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 torn"])
def test_a_broken_cache_is_made_again(raw_dir: Path, content: bytes) -> None:
    first = _build(raw_dir)
    (file,) = (raw_dir.parent / "cache" / "photos").iterdir()
    file.write_bytes(content)
    assert _build(raw_dir, first).photos_read == COUNT
    assert _build(raw_dir, first).photos_read == 0


def test_a_cache_that_cannot_be_written_is_an_error(raw_dir: Path) -> None:
    (raw_dir.parent / "cache").write_text("a file in the place of the folder")
    with pytest.raises(FvrecError, match=r"cannot write.*cache"):
        _build(raw_dir)


def test_the_listing_notices_every_change_and_opens_nothing(raw_dir: Path) -> None:
    seen = {digest_listing(raw_dir)}
    assert digest_listing(raw_dir) in seen
    steps = [
        lambda: (raw_dir / "images" / "new.jpg").write_bytes(b"x"),
        lambda: (raw_dir / "images" / "new.jpg").write_bytes(b"xy"),
        lambda: (raw_dir / "images" / "new.jpg").rename(raw_dir / "images" / "newer.jpg"),
        lambda: (raw_dir / "images" / "newer.jpg").unlink(),
        lambda: (raw_dir / "loop").symlink_to(raw_dir),
        lambda: (raw_dir / "nowhere").symlink_to(raw_dir / "absent"),
    ]
    for step in steps:
        step()
        seen.add(digest_listing(raw_dir))
    # The removal leads back to the first listing, and a link back up shows no file that is not there already.
    assert len(seen) == len(steps) - 1


def test_the_listing_does_not_leave_the_folder(raw_dir: Path) -> None:
    outside = raw_dir.parent / "outside"
    outside.mkdir()
    links = {"up": raw_dir.parent, "folder": outside, "file": outside / "a.jpg", "memory": Path("/proc/self/mem"),
             "threads": Path("/proc/self/task"), "circle": raw_dir / "circle"}  # fmt: skip
    (outside / "a.jpg").write_bytes(b"x")
    seen = {digest_listing(raw_dir)}
    for name, target in links.items():
        (raw_dir / name).symlink_to(target)
        seen.add(digest_listing(raw_dir))
    assert len(seen) == len(links) + 1
    (outside / "b.jpg").write_bytes(b"y")
    (outside / "a.jpg").write_bytes(b"longer")
    with opened_files() as opened:
        seen.add(digest_listing(raw_dir))
    assert len(seen) == len(links) + 1
    assert {Path(path) for path in opened.read} <= {raw_dir, *(path for path in raw_dir.rglob("*") if path.is_dir())}


def test_the_listing_of_a_linked_folder_shows_what_is_in_it(raw_dir: Path) -> None:
    (raw_dir / "images").rename(raw_dir / "photos")
    (raw_dir / "images").symlink_to("photos")
    (raw_dir.parent / "alias").symlink_to(raw_dir)
    before = digest_listing(raw_dir)
    assert digest_listing(raw_dir.parent / "alias") == before
    (raw_dir / "photos" / "0.jpg").write_bytes(b"other")
    assert digest_listing(raw_dir) != before


def test_names_of_other_encodings_are_told_apart(raw_dir: Path) -> None:
    seen = {digest_listing(raw_dir)}
    for name in ("照片.jpg".encode("gbk"), b"\xff.jpg", b"\xfe.jpg"):
        Path(os.fsdecode(os.fsencode(raw_dir / "images") + b"/" + name)).write_bytes(b"x")
        seen.add(digest_listing(raw_dir))
    assert len(seen) == 4


def test_a_file_that_goes_while_it_is_listed_is_not_there(raw_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (raw_dir / "images" / "empty").mkdir()
    real_lstat, real_scandir = os.lstat, os.scandir

    def lstat(path: str) -> os.stat_result:
        if path.endswith("/3.jpg"):
            os.unlink(path)
        return real_lstat(path)

    def scandir(path: str) -> object:
        if path.endswith("/empty"):
            os.rmdir(path)
        return real_scandir(path)

    monkeypatch.setattr(os, "lstat", lstat)
    monkeypatch.setattr(os, "scandir", scandir)
    while_going = digest_listing(raw_dir)
    monkeypatch.undo()
    assert not (raw_dir / "images" / "3.jpg").exists()
    assert not (raw_dir / "images" / "empty").exists()
    assert digest_listing(raw_dir) == while_going
    with pytest.raises(FvrecError, match="cannot read"):
        digest_listing(raw_dir / "absent")
