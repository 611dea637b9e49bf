"""The ingest stage on a folder that grows, shrinks and changes; and on disks that will not take what it makes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from fvrec.config import Settings
from fvrec.errors import FvrecError
from tests.fvrec.myntra_folder import line, write_folder, write_photo
from tests.fvrec.picture_server import serve_pictures
from tests.fvrec.shop_folder import MAPPING, write_shop
from warehouse.read import Warehouse

pytestmark = pytest.mark.usefixtures("prefect_home")
ROOT = Path(__file__).resolve().parents[2]
COUNT = 40


def _shop(root: Path, titles: Mapping[int, str] | None = None, photos: range = range(0)) -> Settings:
    named = titles or {n: f"Name {n}" for n in range(COUNT)}
    colors = ("Red", "Blue", "Green")
    lines = [line(str(n), title, color=colors[n % 3]) for n, title in named.items()]
    write_folder(root / "raw", lines, photos=[str(n) for n in photos])
    return Settings(root=root, source="myntra", raw=root / "raw", preset="smoke")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = _shop(tmp_path, photos=range(COUNT))
    _ingest(made)
    return made


def _ingest(settings: Settings) -> bool:
    """Whether there was nothing to do."""
    from tasks.ingest import ingest

    return ingest(settings).reused


def _changes(settings: Settings) -> dict[str, float]:
    rows = Warehouse(settings.database).metrics(source="myntra")
    return {row.slice: row.value for row in rows if row.metric == "changes" and row.value}


def _metric(settings: Settings, name: str) -> float:
    (row,) = [row for row in Warehouse(settings.database).metrics(source="myntra") if row.metric == name]
    return row.value


def test_the_warehouse_follows_the_folder(settings: Settings) -> None:
    store, root = Warehouse(settings.database), settings.root
    first = {item.item_id: item for item in store.items("myntra")}
    assert _ingest(settings)

    write_photo(root / "raw" / "images" / "3.jpg", 999)
    _shop(root, {**{n: f"Name {n}" for n in range(2, COUNT + 1)}, 7: "Another name"}, photos=range(0))
    write_photo(root / "raw" / "images" / f"{COUNT}.jpg", 1000)
    assert not _ingest(settings)
    assert _changes(settings) == {"new": 1, "changed": 2, "unchanged": COUNT - 4, "vanished now": 2}
    second = {item.item_id: item for item in store.items("myntra", vanished=True)}
    assert {name for name, item in second.items() if item.vanished_at} == {"0", "1"}
    assert second["7"].title == "Another name"
    assert second["3"].image_sha256 != first["3"].image_sha256
    assert all(second[name].split in (first[name].split, "excluded") for name in first)
    untouched = set(first) - {"0", "1", "3", "7"}
    assert all(second[name].ingested_at == first[name].ingested_at for name in untouched)

    _shop(root, {n: f"Name {n}" for n in range(COUNT)})
    assert not _ingest(settings)
    assert _changes(settings) == {"returned": 2, "changed": 1, "unchanged": COUNT - 3, "vanished now": 1}
    assert sorted(item.item_id for item in store.items("myntra")) == sorted(first)


def test_rows_that_somebody_altered_are_written_again(settings: Settings) -> None:
    import duckdb

    expected = Warehouse(settings.database).fingerprint_source("myntra")
    with duckdb.connect(settings.database) as connection:
        connection.execute("DELETE FROM item_attributes WHERE item_id = '5'")
        connection.execute("UPDATE items SET title = 'forged' WHERE item_id = '6'")
    assert not _ingest(settings)
    assert Warehouse(settings.database).fingerprint_source("myntra") == expected


def test_a_limit_leaves_out_and_nothing_vanishes(settings: Settings) -> None:
    store = Warehouse(settings.database)
    whole = store.fingerprint_source("myntra")
    first = {item.item_id: item for item in store.items("myntra")}
    for limit in (10, 5):
        sampled = settings.model_copy(update={"limit": limit})
        assert not _ingest(sampled)
        assert _ingest(sampled)
        assert _changes(settings) == {"unchanged": limit}
        assert _metric(settings, "not_sampled") == COUNT - limit
        assert len(store.items("myntra")) == limit
    assert not any(item.vanished_at for item in store.items("myntra", vanished=True))
    _shop(settings.root, {n: f"Name {n}" for n in range(COUNT - 1)})
    assert not _ingest(settings)
    assert _changes(settings) == {"unchanged": COUNT - 1, "vanished now": 1}
    assert _metric(settings, "not_sampled") == 0
    _shop(settings.root)
    assert not _ingest(settings)
    assert _changes(settings) == {"unchanged": COUNT - 1, "returned": 1}
    assert store.fingerprint_source("myntra") == whole
    assert {item.item_id: item.split for item in store.items("myntra")} == {n: i.split for n, i in first.items()}


def test_a_limit_that_takes_every_row_sees_what_is_gone(settings: Settings) -> None:
    _shop(settings.root, {n: f"Name {n}" for n in range(COUNT - 1)})
    assert not _ingest(settings.model_copy(update={"limit": COUNT}))
    assert _changes(settings) == {"unchanged": COUNT - 1, "vanished now": 1}


def test_a_shop_may_move_and_another_one_is_refused(settings: Settings) -> None:
    store, root = Warehouse(settings.database), settings.root
    before = store.fingerprint_source("myntra")
    other = _shop(root / "other", {n: f"Thing {n}" for n in range(COUNT)})
    for n in range(COUNT):
        write_photo(root / "other" / "raw" / "images" / f"{n}.jpg", 5000 + n)
    disjoint = _shop(root / "disjoint", {n: f"Name {n}" for n in range(100, 100 + COUNT)}, photos=range(100, 140))
    for made in (other, disjoint):
        elsewhere = settings.model_copy(update={"raw": made.raw})
        with pytest.raises(FvrecError, match="another shop") as refused:
            _ingest(elsewhere)
        assert all(part in str(refused.value) for part in (str(made.raw), str(settings.raw), "another --root"))
        assert store.fingerprint_source("myntra") == before
    moved = settings.model_copy(update={"raw": root / "moved"})
    (root / "raw").rename(root / "moved")
    assert not _ingest(moved)
    assert not _ingest(moved.model_copy(update={"limit": 6}))
    assert len(store.items("myntra")) == 6


def test_another_shop_in_the_same_folder_is_refused_but_a_new_season_is_not(settings: Settings) -> None:
    store = Warehouse(settings.database)
    before = store.fingerprint_source("myntra")
    for n in range(COUNT):
        write_photo(settings.root / "raw" / "images" / f"{n}.jpg", 5000 + n)
    _shop(settings.root, {n: f"Thing {n}" for n in range(COUNT)})
    with pytest.raises(FvrecError, match="another shop"):
        _ingest(settings)
    assert store.fingerprint_source("myntra") == before
    _shop(settings.root, {n: f"Name {n}" for n in range(COUNT)})
    assert not _ingest(settings)  # the same designs, photographed anew
    _shop(settings.root, {n: f"Name {n}" for n in range(100, 100 + COUNT)}, photos=range(100, 100 + COUNT))
    assert not _ingest(settings)
    assert _changes(settings)["vanished now"] == COUNT


def test_pictures_that_were_fetched_and_cleared_away_are_fetched_again(tmp_path: Path) -> None:
    with serve_pictures() as server:
        mapping = MAPPING.replace('folder = "images"', 'folder = "images"\nallow_private = true')
        rows = tuple(f"A-{n},name {n},连衣裙,大红,女,{server.url(f'/ok/{n}.jpg')}" for n in range(6))
        raw = write_shop(tmp_path / "raw", rows, mapping=mapping)
        settings = Settings(root=tmp_path, source="tabular", raw=raw, preset="smoke")
        assert not _ingest(settings)
        assert _ingest(settings)
        one = next(path for path in (raw / ".fetched").rglob("*") if path.is_file())
        one.unlink()
        assert not _ingest(settings)
        assert one.is_file()
        assert _ingest(settings)
        shutil.rmtree(raw / ".fetched")
        assert not _ingest(settings)
        assert _ingest(settings)
    assert server.asked.total() == 6 + 1 + 6


@pytest.mark.parametrize(
    "place", ["data", "data/cache", "data/processed", "data/warehouse", "outputs", "outputs/manifests", "outputs/logs"]
)
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, place: str) -> None:
    settings = _shop(tmp_path, photos=range(COUNT))
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("a file in the place of a folder")
    with pytest.raises(FvrecError, match=place):
        _ingest(settings)
    assert (tmp_path / place).read_text() == "a file in the place of a folder"


_FULL = """
import resource, sys
from pathlib import Path
from fvrec import catalog
from fvrec.errors import FvrecError
from fvrec.records import utc_now
from fvrec.sources import open_source
from warehouse import write
from warehouse.read import Warehouse

root, step, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
database = root / "data" / "warehouse" / "live.duckdb"
history = Warehouse(database).placed("myntra")

def build(cache):
    return catalog.build(open_source("myntra", root / "raw"), root=root, workers=1, history=history, cache=cache)

found = None if step == "build" else build(None)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    if step == "build":
        build(root / "data" / "cache")
    elif step == "items":
        catalog.write_items(root / "data" / "processed" / "items.jsonl", found.items)
    else:
        write.update_items(database, "myntra", found.items, [], vanished=(), at=utc_now())
except FvrecError as error:
    sys.exit(f"FvrecError: {error}")
"""


@pytest.mark.parametrize(
    ("step", "limit", "told"),
    [("build", 2_000, "cannot write: File too large"), ("items", 2_000, "cannot write: File too large"),
     ("warehouse", 300_000, "the database")],
)  # fmt: skip
def test_a_full_disk_is_told_and_costs_nothing(settings: Settings, step: str, limit: int, told: str) -> None:
    """Files that may not grow stand for a disk that is full: both end in an error of the same system calls."""
    store, items = Warehouse(settings.database), settings.items_file.read_bytes()
    before = (store.items("myntra"), store.fingerprint_source("myntra"))
    _shop(settings.root, {n: f"Name {n} " + "long " * 800 for n in range(COUNT)})
    command = [sys.executable, "-c", _FULL, str(settings.root), step, str(limit)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert f"FvrecError: {told}" in ended.stderr
    assert (store.items("myntra"), store.fingerprint_source("myntra")) == before
    assert settings.items_file.read_bytes() == items
    assert [path.name for path in settings.processed.iterdir()] == ["items.jsonl"]
    assert not _ingest(settings)
    assert len(store.items("myntra")[0].title) > 4000
