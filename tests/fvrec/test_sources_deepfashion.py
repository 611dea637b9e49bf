"""DeepFashion, on a folder written in the layouts of the benchmark's own text files."""

from __future__ import annotations

from pathlib import Path

import pytest

from fvrec.catalog import build
from fvrec.errors import FvrecError
from fvrec.records import Quarantined
from fvrec.sources import RawRow, open_source
from fvrec.sources.deepfashion import labels_of
from tests.fvrec.myntra_folder import write_photo

CATEGORIES = ["Blouse", "Jeans", "Tee"]
ATTRIBUTES = ["floral print", "long sleeve", "v-neck", "denim", "skinny", "faux leather", "striped", "print"]
BLOUSE, JEANS = "img/Floral_V-Neck_Blouse/img_00000001.jpg", "img/Skinny_Jeans/img_00000001.jpg"


def numbered(header: str, lines: list[str]) -> str:
    return "\n".join([str(len(lines)), header, *lines]) + "\n"


def marks(*names: str, off: str = "-1") -> str:
    return "  ".join("1" if name in names else off for name in ATTRIBUTES)


def write_lists(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "list_category_cloth.txt").write_text(
        numbered("category_name  category_type", [f"{name}        1" for name in CATEGORIES])
    )
    (folder / "list_attr_cloth.txt").write_text(
        numbered("attribute_name  attribute_type", [f"{name}        1" for name in ATTRIBUTES])
    )


def write_photos(folder: Path) -> None:
    for seed, photo in enumerate((BLOUSE, JEANS)):
        write_photo(folder / photo, seed)


def coarse(raw: Path, photos: Path | None = None, anno: str = "Anno_coarse") -> Path:
    """The layout of the authors: 50 categories and 1,000 attributes there, fewer here."""
    write_lists(raw / anno)
    (raw / anno / "list_category_img.txt").write_text(
        numbered("image_name  category_label", [f"{BLOUSE}                 1", f"{JEANS}     2"])
    )
    (raw / anno / "list_attr_img.txt").write_text(
        numbered("image_name  attribute_labels", [
            f"{BLOUSE}   {marks('floral print', 'long sleeve', 'v-neck', 'print')}",
            f"{JEANS}      {marks('denim', 'skinny', off='0')}",
        ])
    )  # fmt: skip
    (raw / "Eval").mkdir()
    (raw / "Eval" / "list_eval_partition.txt").write_text(
        numbered("image_name  evaluation_status", [f"{BLOUSE}   train", f"{JEANS}   test"])
    )
    write_photos(photos or raw)
    return raw


def fine(raw: Path) -> Path:
    """The layout with one list for each partition."""
    write_lists(raw / "Anno_fine")
    for partition, photo, category, on in (("train", BLOUSE, 1, ("floral print", "v-neck")), ("test", JEANS, 2, ())):
        (raw / "Anno_fine" / f"{partition}.txt").write_text(f"{photo}\n")
        (raw / "Anno_fine" / f"{partition}_cate.txt").write_text(f"{category}\n")
        (raw / "Anno_fine" / f"{partition}_attr.txt").write_text(f"{marks(*on, off='0')} \n")
    write_photos(raw)
    return raw


def rows_of(raw: Path, **options: int) -> list[RawRow | Quarantined]:
    return list(open_source("deepfashion", raw, **options).rows())


def test_a_photo_becomes_canonical(tmp_path: Path) -> None:
    blouse, jeans = rows_of(coarse(tmp_path))
    assert isinstance(blouse, RawRow)
    assert isinstance(jeans, RawRow)
    told = {field: (each.value, each.origin) for field, each in blouse.attributes.items() if each.origin != "unknown"}
    assert told == {
        "category": ("blouse", "source"),
        "pattern": ("floral", "source"),
        "sleeve_length": ("long", "source"),
        "neckline": ("v_neck", "source"),
    }
    assert (blouse.item_id, blouse.group_key, blouse.title) == (
        "Floral_V-Neck_Blouse__img_00000001", "Floral_V-Neck_Blouse", "Floral V-Neck Blouse",
    )  # fmt: skip
    assert blouse.raw == {
        "image_name": BLOUSE,
        "category": "Blouse",
        "attributes": ["floral print", "long sleeve", "v-neck", "print"],
        "evaluation_status": "train",
    }
    assert {jeans.attributes[field].value for field in ("category", "material", "fit")} == {"jeans", "denim", "skinny"}
    assert jeans.raw["evaluation_status"] == "test"


@pytest.mark.parametrize("inside", ["", "Img"])
def test_photos_lie_beside_the_lists_or_in_a_folder_of_their_own(tmp_path: Path, inside: str) -> None:
    raw = coarse(tmp_path, tmp_path / inside)
    assert len(build(open_source("deepfashion", raw), root=tmp_path, workers=1).items) == 2


@pytest.mark.parametrize("anno", ["Anno", "Anno_coarse"])
def test_a_folder_that_an_archive_makes_is_found(tmp_path: Path, anno: str) -> None:
    coarse(tmp_path / "Category and Attribute Prediction Benchmark", anno=anno)
    assert len(rows_of(tmp_path)) == 2


def test_the_fine_layout(tmp_path: Path) -> None:
    blouse, jeans = rows_of(fine(tmp_path))
    assert isinstance(blouse, RawRow)
    assert isinstance(jeans, RawRow)
    assert (blouse.attributes["neckline"].value, blouse.raw["evaluation_status"]) == ("v_neck", "train")
    assert (jeans.attributes["category"].value, jeans.raw["evaluation_status"]) == ("jeans", "test")


def test_lines_that_do_not_fit_are_quarantined(tmp_path: Path) -> None:
    raw = coarse(tmp_path)
    strange = ["img/A/1.jpg   99", "img/B/1.jpg   x", "../../etc/passwd   1", "/etc/passwd  1", "img/C/../../x.jpg  1"]
    table = raw / "Anno_coarse" / "list_category_img.txt"
    table.write_text(table.read_text() + "\n".join(strange) + "\n")
    attributes = raw / "Anno_coarse" / "list_attr_img.txt"
    attributes.write_text(attributes.read_text().replace(f"{JEANS}      -1", JEANS).replace(f"{JEANS}      0", JEANS))
    reasons = [row.reason if isinstance(row, Quarantined) else "" for row in rows_of(raw)]
    assert reasons == ["", "bad_row", "bad_row", "bad_row", "path_outside", "path_outside", "path_outside"]


def test_a_missing_fine_attribute_line_is_quarantined(tmp_path: Path) -> None:
    raw = fine(tmp_path)
    (raw / "Anno_fine" / "test_attr.txt").write_text("1 0\n")
    first, second = rows_of(raw)
    assert isinstance(first, RawRow)
    assert isinstance(second, Quarantined)
    assert "length" in second.detail


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    raw = coarse(tmp_path / "raw")
    (raw / "Anno_coarse" / "list_attr_img.txt").unlink()
    with pytest.raises(FvrecError, match=r"too few attributes.*found: 'category'"):
        open_source("deepfashion", raw).discover()
    (raw / "Anno_coarse" / "list_attr_cloth.txt").unlink()
    with pytest.raises(FvrecError, match=r"missing.*list_attr_cloth\.txt"):
        open_source("deepfashion", raw).discover()
    with pytest.raises(FvrecError, match="raw folder is missing"):
        open_source("deepfashion", tmp_path / "nowhere").discover()


def test_limit_and_manifest(tmp_path: Path) -> None:
    raw = coarse(tmp_path)
    assert len(rows_of(raw, limit=1)) == 1
    manifest = open_source("deepfashion", raw, limit=1).manifest()
    assert (manifest["rows"], manifest["rows_used"], manifest["images"]) == (2, 1, 2)
    assert "Eval/list_eval_partition.txt" in manifest["files"]
    assert len(manifest["files"]) == 5


@pytest.mark.parametrize(
    ("attributes", "field", "value"),
    [
        (["faux leather"], "material", "unknown"),
        (["faux leather", "leather"], "material", "leather"),
        (["lace-up"], "pattern", "unknown"),
        (["lace"], "pattern", "lace"),
        (["abstract print", "striped"], "pattern", "striped"),
        (["floral", "striped"], "pattern", "unknown"),
        (["sleeveless", "v_neckline"], "neckline", "v_neck"),
        (["crew_neckline"], "neckline", "round"),
        (["short_sleeve"], "sleeve_length", "short"),
        (["tight"], "fit", "slim"),
        (["conventional"], "fit", "regular"),
        (["solid"], "pattern", "solid"),
        (["no_neckline"], "neckline", "unknown"),
        (["summer"], "season", "summer"),
    ],
)
def test_names_of_attributes_become_values(attributes: list[str], field: str, value: str) -> None:
    assert labels_of("Tee", attributes)[field].value == value
