"""The ingest benchmark at a size that takes seconds: what it reports, and that both sides see the same photos."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import ingest
from tests.fvrec.myntra_folder import line, write_folder


def test_both_sides_are_timed_on_the_same_photos(tmp_path: Path) -> None:
    ids = [str(number) for number in range(12)]
    folder = write_folder(tmp_path / "raw", [line(i, f"Name {i}") for i in ids], photos=ids[:-1])
    found = ingest.race("myntra", folder, rounds=2)
    assert (found.rows, found.photos, len(found.bare_s), len(found.build_s)) == (12, 11, 2, 2)
    assert found.ratio > 0
    assert ingest.bare_decode([str(folder / "images" / f"{i}.jpg") for i in ids]) == 11


def test_growth_counts_the_rows_that_are_new(tmp_path: Path) -> None:
    ids = [str(number) for number in range(205)]
    folder = write_folder(tmp_path / "raw", [line(i, f"Name {i}") for i in ids], photos=ids)
    found = ingest.growth("myntra", folder)
    assert (found.rows, found.new_rows) == (205, 3)
    assert min(found.most_s, found.unchanged_s, found.grown_s, found.cold_s) > 0


def test_drawn_photos_are_distinct_and_all_become_items(tmp_path: Path) -> None:
    ingest.draw(tmp_path / "photos", 0, 12)
    ingest.draw(tmp_path / "photos", 12, 20)
    assert len({path.read_bytes() for path in (tmp_path / "photos").rglob("*.jpg")}) == 20
    small = ingest.measured(tmp_path / "photos", 20)
    assert small.rows == 20
    assert small.peak_bytes > 30 * 2**20
    assert small.seconds_per_row > 0


def test_a_large_photo_is_read_faster_when_it_is_wanted_small() -> None:
    assert ingest.draft_speedup(rounds=3) > 2


def test_the_numbers_are_written(tmp_path: Path) -> None:
    status = ingest.main(["--scale", "30", "--work", str(tmp_path), "--json", str(tmp_path / "scale.json")])
    body = json.loads((tmp_path / "scale.json").read_text())
    assert status == (0 if body["holds"] else 1)
    assert body["large"]["rows"] == 30
    assert [path.name for path in tmp_path.iterdir()] == ["scale.json"]
