"""Myntra's full release: article attributes, descriptions, addresses of photos, the folders that archives make."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fvrec.errors import FvrecError
from fvrec.records import Quarantined
from fvrec.sources import RawRow, open_source
from fvrec.sources.myntra_styles import plain_text
from tests.fvrec.myntra_folder import line, write_folder

SHIRT = {"Neck": "V-Neck", "Sleeve Length": "Short Sleeves", "Fabric": "Cotton", "Pattern": "Striped",
         "Fit": "Slim Fit", "Occasion": "Formal", "Body or Garment Size": "Garment Measurements in"}  # fmt: skip


def write_style(raw_dir: Path, item_id: str, attributes: dict[str, str], description: str = "") -> None:
    """``styles/{id}.json`` as the full release holds it."""
    data: dict[str, Any] = {
        "id": int(item_id),
        "productDisplayName": "x",
        "articleAttributes": attributes,
        "masterCategory": {"id": 9, "typeName": "Apparel", "active": True},
        "styleImages": {"default": {"imageURL": "http://assets.myntassets.com/x.jpg"}},
    }
    if description:
        data["productDescriptors"] = {"description": {"descriptorType": "description", "value": description}}
    document = {"notification": {}, "meta": {"code": 200, "requestId": "x"}, "data": data}
    (raw_dir / "styles").mkdir(exist_ok=True)
    (raw_dir / "styles" / f"{item_id}.json").write_text(json.dumps(document), encoding="utf-8")


def first_row(raw_dir: Path) -> RawRow:
    row = next(iter(open_source("myntra", raw_dir).rows()))
    assert isinstance(row, RawRow)
    return row


def test_article_attributes_label_what_the_table_does_not(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [line("1", "Shirt"), line("2", "Plain")], photos=["1", "2"])
    assert open_source("myntra", folder).supervised_fields == ("category", "color", "style", "season", "gender")
    write_style(folder, "1", SHIRT, "<p>A <b>fine</b> shirt<br />&amp; soft</p><style>p {}</style>")
    source = open_source("myntra", folder)
    with_file, without = source.rows()
    assert isinstance(with_file, RawRow)
    assert isinstance(without, RawRow)
    told = {field: each.value for field, each in with_file.attributes.items() if each.origin == "source"}
    assert told == {
        "category": "tshirt", "color": "blue", "style": "casual", "season": "fall", "gender": "male",
        "neckline": "v_neck", "sleeve_length": "short", "material": "cotton", "pattern": "striped", "fit": "slim",
    }  # fmt: skip
    assert with_file.description == "A fine shirt & soft"
    assert with_file.raw["articleAttributes"] == SHIRT
    assert without.attributes["neckline"].origin == "unknown"
    assert set(source.supervised_fields[5:]) == {"material", "pattern", "fit", "sleeve_length", "neckline"}


def test_only_fields_that_some_file_labels_are_supervised(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [line("1", "Watch")], photos=["1"])
    write_style(folder, "1", {"Neck": "NA", "Fabric": "Cotton"})
    assert open_source("myntra", folder).supervised_fields[5:] == ("material",)


def test_the_usage_column_beats_the_occasion_and_both_beat_the_title(tmp_path: Path) -> None:
    lines = [line("1", "Running Shoes", usage="NA"), line("2", "Running Shoes", usage="Travel")]
    folder = write_folder(tmp_path, lines, photos=["1", "2"])
    write_style(folder, "1", {"Occasion": "Party"})
    write_style(folder, "2", {"Occasion": "Party"})
    styles = [row.attributes["style"] for row in open_source("myntra", folder).rows() if isinstance(row, RawRow)]
    assert [(each.value, each.origin) for each in styles] == [("party", "source"), ("travel", "source")]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"data": 3}', '{"data": {"articleAttributes": 7}}', "\x00", "[" * 9999]
)
def test_a_broken_file_rejects_its_product_only(tmp_path: Path, text: str) -> None:
    folder = write_folder(tmp_path, [line("1", "x"), line("2", "y")], photos=["1", "2"])
    write_style(folder, "2", SHIRT)
    (folder / "styles" / "1.json").write_text(text, encoding="utf-8")
    first, second = open_source("myntra", folder).rows()
    assert isinstance(first, Quarantined)
    assert (first.reason, first.path) == ("bad_details", "styles/1.json")
    assert isinstance(second, RawRow)


def test_a_file_that_leads_out_of_the_folder_is_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps({"data": {"articleAttributes": {"Neck": "V-Neck"}}}))
    folder = write_folder(tmp_path / "raw", [line("1", "x")], photos=["1"])
    (folder / "styles").mkdir()
    (folder / "styles" / "1.json").symlink_to(secret)
    (row,) = open_source("myntra", folder).rows()
    assert isinstance(row, Quarantined)
    assert "link out of the raw folder" in row.detail


def test_addresses_of_photos_are_kept(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [line("1", "x"), line("2", "y")], photos=["1", "2"])
    (folder / "images.csv").write_text("filename,link\n1.jpg,http://assets.example/1.jpg\n2.jpg,undefined\n")
    first, second = open_source("myntra", folder).rows()
    assert isinstance(first, RawRow)
    assert isinstance(second, RawRow)
    assert first.raw["image_link"] == "http://assets.example/1.jpg"
    assert "image_link" not in second.raw
    assert set(open_source("myntra", folder).manifest()["files"]) == {"styles.csv", "images.csv"}


@pytest.mark.parametrize("inner", ["myntradataset", "fashion-dataset", "fashion-dataset/fashion-dataset"])
def test_the_folder_that_an_archive_makes_is_found(tmp_path: Path, inner: str) -> None:
    write_folder(tmp_path / inner, [line("1", "x")], photos=["1"])
    assert first_row(tmp_path).image_path == tmp_path / inner / "images" / "1.jpg"


def test_the_copy_inside_the_small_archive_does_not_count(tmp_path: Path) -> None:
    write_folder(tmp_path, [line("1", "outer")], photos=["1"])
    write_folder(tmp_path / "myntradataset", [line("1", "inner")], photos=["1"])
    assert first_row(tmp_path).title == "outer"


def test_two_archives_beside_each_other_are_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_folder(tmp_path / name, [line("1", "x")], photos=["1"])
    with pytest.raises(FvrecError, match=r"two copies of the data.*one, two"):
        open_source("myntra", tmp_path).discover()


def test_the_small_release_is_a_catalogue_of_its_own(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [line("", "x"), line("1", "y")], photos=["1"])
    source = open_source("myntra-small", folder)
    rejected, _ = source.rows()
    assert isinstance(rejected, Quarantined)
    assert source.name == rejected.source == source.manifest()["source"] == "myntra-small"


def test_new_article_attributes_are_reported(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [line("1", "x")], photos=["1"])
    write_style(folder, "1", {"Neck": "Moon Neck", "Wash Care": "Cold"})
    assert open_source("myntra", folder).unmapped() == {"neckline": {"Moon Neck": 1}}  # type: ignore[attr-defined]


def test_markup_becomes_one_line() -> None:
    assert plain_text("<p>a<br>b</p>\n<script>x()</script> 1 &lt; 2") == "a b 1 < 2"
