import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fvrec import vocab
from fvrec.artifacts import digest_tree
from fvrec.cli import app
from fvrec.errors import FvrecError
from fvrec.parallel import Sized
from fvrec.schema import FIELDS, UNKNOWN, VALUES
from fvrec.sources import RawRow, open_source
from fvrec.sources.drawing.render import CATEGORIES, render
from fvrec.sources.embedded_designs import products
from fvrec.sources.preview import contact_sheet

MANY = products(3000, 7)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embedded") / "raw"
    list(open_source("embedded", folder, items=40, seed=5).rows())
    return folder


def rows_of(folder: Path, items: int = 40, seed: int = 5) -> list[RawRow]:
    return [row for row in open_source("embedded", folder, items=items, seed=seed).rows() if isinstance(row, RawRow)]


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_rows_are_what_was_ordered(drawn: Path) -> None:
    rows = rows_of(drawn)
    assert len(rows) == 40
    assert sorted(path.name for path in drawn.iterdir()) == ["embedded.json", "images", "styles.csv"]
    for row, product in zip(rows, products(40, 5), strict=True):
        assert {field: row.attributes[field].value for field in FIELDS} == product.values
        assert all((value.origin == "unknown") == (value.value == UNKNOWN) for value in row.attributes.values())
        with Image.open(row.image_path) as image:
            image.load()
            assert (image.size, image.mode, image.format) == ((224, 224), "RGB", "JPEG")


def test_the_same_order_is_drawn_once_and_another_one_anew(drawn: Path, tmp_path: Path) -> None:
    before = times(drawn)
    rows_of(drawn)
    assert times(drawn) == before
    folder = tmp_path / "raw"
    first = [row.image_path.read_bytes() for row in rows_of(folder, 12, 1)]
    other = [row.image_path.read_bytes() for row in rows_of(folder, 12, 2)]
    again = [row.image_path.read_bytes() for row in rows_of(folder, 12, 1)]
    assert first == again
    assert first != other
    assert len(list((folder / "images").iterdir())) == 12


@pytest.mark.parametrize("damage", ["image", "altered", "table", "mark", "half"])
def test_a_damaged_folder_is_drawn_anew(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "raw"
    before = [row.image_path.read_bytes() for row in rows_of(folder, 6)]
    if damage == "image":
        (folder / "images" / "em000003.jpg").unlink()
    elif damage == "altered":
        (folder / "images" / "em000003.jpg").write_bytes(before[0])
    elif damage == "table":
        (folder / "styles.csv").write_text("id\n")
    elif damage == "mark":
        (folder / "embedded.json").write_text("{}")
    else:  # killed between the pictures and the table
        (folder / "embedded.json").write_text(json.dumps({"order": "drawing"}))
        (folder / ".drawing").mkdir()
        (folder / "styles.csv").unlink()
    assert [row.image_path.read_bytes() for row in rows_of(folder, 6)] == before
    assert not (folder / ".drawing").exists()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(FvrecError, match="not drawn by this source"):
        rows_of(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["images", "mine.jpg"]
    (tmp_path / "file").write_text("")
    with pytest.raises(FvrecError, match="is a file"):
        rows_of(tmp_path / "file")


def test_the_manifest_says_what_was_drawn(drawn: Path, tmp_path: Path) -> None:
    manifest = open_source("embedded", drawn, items=40, seed=5).manifest()
    assert (manifest["rows"], manifest["seed"], manifest["method"]) == (40, 5, "drawn")
    with (drawn / "styles.csv").open(encoding="utf-8") as file:
        assert list(manifest["fields"]) == next(csv.reader(file))
    with pytest.raises(FvrecError, match="not drawn yet"):
        open_source("embedded", tmp_path).manifest()


def test_drawing_and_reading_are_counted_for_a_progress_bar(tmp_path: Path) -> None:
    counted: list[int] = []

    def progress(steps: Sized[object]) -> Iterator[object]:
        counted.append(sum(1 for _ in steps))
        assert counted[-1] == len(steps)
        return iter(())

    open_source("embedded", tmp_path / "raw", items=7).prepare(progress)
    open_source("embedded", tmp_path / "raw", items=7).prepare(progress)
    assert counted == [7]


def test_limit_draws_no_more_than_it_says(tmp_path: Path) -> None:
    assert len(list(open_source("embedded", tmp_path / "raw", items=40, limit=5).rows())) == 5


def test_a_larger_catalogue_begins_with_the_smaller_one() -> None:
    assert products(500, 7) == MANY[:500]
    assert products(500, 8) != MANY[:500]


def test_the_catalogue_is_wide_and_balanced() -> None:
    seen = {field: Counter(product.values[field] for product in MANY) for field in FIELDS}
    assert set(seen["category"]) == set(CATEGORIES)
    assert len(seen["category"]) >= 14
    assert set(seen["color"]) == set(VALUES["color"]) - {UNKNOWN}
    assert len(seen["pattern"]) >= 6
    for field in ("style", "season", "gender", "sleeve_length"):
        assert set(VALUES[field]) - {UNKNOWN} == set(seen[field]) - {UNKNOWN}
    for field, counts in seen.items():
        assert set(counts) <= set(VALUES[field])
        known = sum(count for value, count in counts.items() if value != UNKNOWN)
        assert max(count for value, count in counts.items() if value != UNKNOWN) / known < 0.45, field


def test_values_go_together() -> None:
    catalogue = vocab.load("embedded")
    for product in MANY:
        values = set(product.values.values())
        offered = catalogue["categories"][product.values["category"]]
        for field in FIELDS[2:]:
            assert product.values[field] in offered.get(field, [UNKNOWN])
        for value, excluded in catalogue["rules_out"].items():
            if value in values:
                assert not values.intersection(excluded)


def test_every_value_of_the_catalogue_has_words_in_both_languages() -> None:
    catalogue = vocab.load("embedded")
    for offered in catalogue["categories"].values():
        for field in set(offered) - {"weight"}:
            for value in offered[field]:
                assert catalogue["titles"]["en"][field][value]
                assert catalogue["titles"]["zh"][field][value]


def test_colours_of_a_design_differ_in_colour_alone() -> None:
    designs: dict[str, list[dict[str, str]]] = {}
    for product in MANY:
        designs.setdefault(product.design, []).append(dict(product.values))
    sizes = Counter(len(variants) for variants in designs.values())
    assert set(sizes) == {1, 2, 3}
    for variants in designs.values():
        assert len({values.pop("color") for values in variants}) == len(variants)
        assert all(values == variants[0] for values in variants)


def test_titles_are_half_chinese_and_tell_season_gender_and_style() -> None:
    words = vocab.load("embedded")["titles"]
    chinese = [product for product in MANY if re.search(r"[一-鿿]", product.title)]
    assert 0.45 < len(chinese) / len(MANY) < 0.55
    for product in MANY:
        language = words["zh" if product in chinese[:50] or re.search(r"[一-鿿]", product.title) else "en"]
        for field in ("category", "color", "season", "gender", "style"):
            assert any(word in product.title for word in language[field][product.values[field]]), (field, product)
        assert not re.search(r"[\[\]{}]|\s\s|unknown", product.title)
    assert len({product.title for product in MANY}) > 0.8 * len(MANY)


def test_each_field_changes_the_picture_where_it_applies() -> None:
    shown = dict.fromkeys(FIELDS, 0)
    for product in MANY[:80:2]:
        offered = vocab.load("embedded")["categories"][product.values["category"]]
        plain = _pixels(product.values)
        for field in FIELDS[1:]:
            options = VALUES["color"][:-1] if field == "color" else offered.get(field, [])
            for value in [value for value in options if value != product.values[field]][:1]:
                moved = np.abs(_pixels({**product.values, field: value}) - plain).max(axis=2)
                assert (moved > 24).mean() > 0.002, (field, value, product.values)
                shown[field] += 1
    assert all(count > 5 for field, count in shown.items() if field != "category")


def _pixels(values: dict[str, str]) -> np.ndarray:
    return np.asarray(render(values, np.random.default_rng(11)), dtype=np.int16)


def test_the_contact_sheet_shows_what_can_be_read(drawn: Path, tmp_path: Path) -> None:
    rows = rows_of(drawn)[:5]
    path = tmp_path / "sheet.png"
    assert contact_sheet(rows, path, columns=3) == 5
    with Image.open(path) as sheet:
        assert sheet.size == (3 * 232 + 8, 2 * (224 + 46 + 8) + 8)
        assert np.asarray(sheet).std() > 20
    with pytest.raises(FvrecError, match="no photo"):
        contact_sheet([], tmp_path / "none.png")
    with pytest.raises(FvrecError, match="column"):
        contact_sheet(rows, tmp_path / "none.png", columns=0)
    assert [entry.name for entry in tmp_path.iterdir()] == ["sheet.png"]


def test_a_preview_leaves_the_drawn_photos_as_they_are(tmp_path: Path) -> None:
    raw, sheet = tmp_path / "data" / "raw" / "embedded", tmp_path / "sheet.png"
    open_source("embedded", raw, items=4, seed=7).prepare()
    before = digest_tree(raw)
    options = ["--root", str(tmp_path), "--seed", "8", "--limit", "6", "--out", str(sheet)]
    outcome = CliRunner().invoke(app, ["source", "preview", *options])
    assert outcome.exit_code == 0, outcome.output
    assert "6 products" in outcome.output
    assert sheet.is_file()
    assert digest_tree(raw) == before
