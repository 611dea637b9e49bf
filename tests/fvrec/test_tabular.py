"""Any shop's table through a mapping file: drafted, checked, ingested; and what is said of a wrong one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fvrec import catalog
from fvrec.cli import app
from fvrec.errors import FvrecError
from fvrec.records import Quarantined
from fvrec.schema import VALUES
from fvrec.sources import RawRow, open_source
from fvrec.sources.checking import check_source
from fvrec.sources.drafting import draft
from fvrec.sources.guessing import Guess, guess
from fvrec.sources.mapping import load_mapping, undecided
from fvrec.sources.tabular import TabularSource
from tests.fuzz.watch import opened_files, outside
from tests.fvrec.shop_folder import HEADER, MAPPING, ROWS, write_shop

MYNTRA = Path(__file__).parents[2] / "data" / "raw" / "myntra"


def rows_of(folder: Path, **options: int) -> list[RawRow | Quarantined]:
    return list(open_source("tabular", folder, **options).rows())


def values(row: RawRow | Quarantined) -> dict[str, tuple[str, str]]:
    assert isinstance(row, RawRow), row
    return {field: (value.value, value.origin) for field, value in row.attributes.items() if value.origin != "unknown"}


def test_chinese_columns_and_values_become_canonical(tmp_path: Path) -> None:
    first, second, third = rows_of(write_shop(tmp_path))
    assert values(first) == {
        "category": ("dress", "source"),
        "color": ("red", "source"),
        "gender": ("female", "source"),
    }
    assert values(second)["color"] == ("blue", "source")
    assert values(third) == {"category": ("other", "source"), "gender": ("female", "source")}
    assert isinstance(first, RawRow)
    assert (first.item_id, first.title) == ("A-1", "红色碎花连衣裙")
    assert first.image_path == tmp_path / "images" / "a1.jpg"
    assert first.raw["颜色"] == "大红"


def test_it_is_ingested_with_every_row_accounted_for(tmp_path: Path) -> None:
    rows = (*ROWS, ROWS[0], "A-5,x,连衣裙,大红,女,gone.jpg", ",x,连衣裙,大红,女,a1.jpg", "A-6,x,,大红,女,a1.jpg",
            "A-7,x,连衣裙,大红,女,../../etc/passwd", "A-8,x,连衣裙,大红,女,/etc/passwd", "A-9,x,连衣裙,大红,女,",
            "../A,x,连衣裙,大红,女,a1.jpg", "A-10,x,连衣裙", "A-11,x,连衣裙,大红,女,C:\\a.jpg")  # fmt: skip
    result = catalog.build(open_source("tabular", write_shop(tmp_path / "raw", rows)), root=tmp_path)
    assert result.rows_in == len(rows)
    assert [item.item_id for item in result.items] == ["A-1", "A-2", "A-3"]
    assert sorted(rejected.reason for rejected in result.quarantined) == sorted(
        ["duplicate_id", "image_missing", "missing_id", "missing_category", "path_outside", "path_outside",
         "image_missing", "path_outside", "bad_row", "path_outside"]
    )  # fmt: skip
    catalog.check(result, root=tmp_path, seed=1)


def test_constants_defaults_and_several_values_in_a_cell(tmp_path: Path) -> None:
    mapping = MAPPING.replace('column = "颜色"', 'column = "颜色"\nsplit = "/"\ndefault = "black"').replace(
        "[columns]", '[constants]\nseason = "summer"\n[columns]'
    )
    rows = ("A-1,x,连衣裙,五彩/藏青/大红,女,a1.jpg", "A-2,x,连衣裙,,女,a2.jpg", "A-3,x,连衣裙,ＤＡ,女,a3.jpg")
    source = TabularSource(write_shop(tmp_path, rows, mapping=mapping))
    first, second, third = source.rows()
    assert values(first)["color"] == ("blue", "source")
    assert values(second)["color"] == ("black", "rule")
    assert "color" not in values(third)
    assert values(first)["season"] == ("summer", "source")
    assert source.supervised_fields == ("category", "color", "gender")
    assert source.unmapped() == {"color": {"ＤＡ": 1}}


def test_names_without_an_image_column_and_folders_by_prefix(tmp_path: Path) -> None:
    mapping = MAPPING.replace('image = "图片"\n', "").replace(
        'folder = "images"', 'folder = "images"\nfile = "{id:.1}/{id}.jpg"'
    )
    folder = write_shop(tmp_path, mapping=mapping)
    (row, *_) = rows_of(folder)
    assert isinstance(row, RawRow)
    assert row.image_path == folder / "images" / "A" / "A-1.jpg"


@pytest.mark.parametrize("file", ["shop.csv", "shop.parquet"])
def test_a_column_without_a_name_is_read_as_nothing(tmp_path: Path, file: str) -> None:
    """As pandas writes its index: first, without a name, and another number for the same product next time."""
    found = []
    for start in (0, 70):
        folder = write_shop(
            tmp_path / str(start),
            tuple(f"{start + n},{row}" for n, row in enumerate(ROWS)),
            header="," + HEADER,
            mapping=MAPPING.replace('title = "标题"\n', "").replace("shop.csv", file),
        )
        table = pyarrow.csv.read_csv(folder / "shop.csv")
        pq.write_table(table, folder / "shop.parquet")
        found.append(catalog.build(open_source("tabular", folder), root=folder).items)
    for item in found[0]:
        assert (item.title, item.description, item.group_key) == ("", "", item.item_id)
        assert "" not in item.raw
    assert [item.row_digest for item in found[0]] == [item.row_digest for item in found[1]]
    assert len(found[0]) == 3


@pytest.mark.parametrize("encoding", ["utf-8", "UTF-16", "gb18030", "gbk"])
def test_an_encoding_of_text_can_be_named(tmp_path: Path, encoding: str) -> None:
    mapping = MAPPING.replace('file = "shop.csv"', f'file = "shop.csv"\nencoding = "{encoding}"')
    folder = write_shop(tmp_path, mapping=mapping)
    text = (folder / "shop.csv").read_text(encoding="utf-8")
    (folder / "shop.csv").write_text(text, encoding=encoding, errors="replace")
    assert [row.item_id for row in rows_of(folder) if isinstance(row, RawRow)] == ["A-1", "A-2", "A-3"]


def test_the_group_column_keeps_variants_together(tmp_path: Path) -> None:
    mapping = MAPPING.replace('title = "标题"', 'title = "标题"\ngroup = "标题"')
    rows = (
        "A-1,Slim  Jeans!,连衣裙,大红,女,a1.jpg",
        "A-2,slim jeans,连衣裙,大红,女,a2.jpg",
        "A-3,,连衣裙,大红,女,a3.jpg",
    )
    keys = [row.group_key for row in rows_of(write_shop(tmp_path, rows, mapping=mapping)) if isinstance(row, RawRow)]
    assert keys == ["slim jeans", "slim jeans", "A-3"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"大红" = "red"', '"大红" = "scarlet"', r"fields.color.values, '大红': 'scarlet' is no color; allowed: black"),
        ("[fields.color]", "[fields.colour]", r"there is no field 'colour'; allowed: category, color"),
        ('column = "颜色"', 'column = "色彩"', r"lacks the column 色彩.*found: '货号, 标题"),
        ('column = "颜色"', 'colum = "颜色"', r"fields.color.column: this key is missing"),
        ('folder = "images"', 'folder = "../x"', r"images.folder leads out of the folder"),
        ('file = "shop.csv"', 'file = "/etc/passwd"', r"table.file leads out of the folder"),
        ('file = "shop.csv"', 'file = "gone.csv"', r"the table is missing"),
        ('folder = "images"', 'folder = "pictures"', r"the image folder is missing"),
        ('folder = "images"', 'folder = "images"\nfile = "{id.x}.jpg"', r"images.file: only \{id\} and \{image\}"),
        ('[fields.gender]\ncolumn = "性别"', '[constants]\nseason = "autumn"\n[fields.gender]\ncolumn = "性别"',
         r"constants.season: 'autumn' is no season"),
        ('[fields.gender]\ncolumn = "性别"', '[constants]\ncolor = "red"\n[fields.gender]\ncolumn = "性别"',
         r"color has a column and a constant"),
        ("[columns]", "[columns", r"no TOML.*line 4"),
        ('id = "货号"', 'id = ""', r"columns.id: this key is empty"),
        ('column = "颜色"', 'column = ""', r"fields.color.column: this key is empty"),
        ('file = "shop.csv"', 'file = "a\\u0000b"', r"table.file leads out of the folder"),
        ('folder = "images"', 'folder = "a\\u0000b"', r"images.folder leads out of the folder"),
        ('folder = "images"', 'folder = "images"\nfile = "{id:.99999999999999999999}"', r"images.file: only \{id\}"),
        *((('file = "shop.csv"', f'file = "shop.csv"\nencoding = "{name}"', r"unknown encoding.*allowed: utf-8-sig"))
          for name in ("rot13", "hex", "idna", "undefined", "a\\u0000b", "klingon")),
    ],
)  # fmt: skip
def test_a_wrong_mapping_says_what_to_change(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert old in MAPPING
    folder = write_shop(tmp_path, mapping=MAPPING.replace(old, new))
    with pytest.raises(FvrecError, match=sentence):
        open_source("tabular", folder).discover()


def test_too_few_attributes_are_not_admitted(tmp_path: Path) -> None:
    mapping = MAPPING.partition("[fields.gender]")[0]
    with pytest.raises(
        FvrecError, match=r"too few attributes.*found: 'category, color.*a category and at least 2 more"
    ):
        open_source("tabular", write_shop(tmp_path, mapping=mapping)).discover()
    with pytest.raises(FvrecError, match=r"mapping file is missing.*fvrec source init"):
        open_source("tabular", write_shop(tmp_path / "other", mapping=None)).discover()


def test_a_check_of_what_is_not_admitted_lists_the_unmapped_values_all_the_same(tmp_path: Path) -> None:
    folder = write_shop(tmp_path, (*ROWS, "A-4,x,连衣裙,孔雀蓝,女,a1.jpg"))
    mapping = folder / "mapping.toml"
    start = mapping.read_text(encoding="utf-8").index("[fields.gender]")
    mapping.write_text(mapping.read_text(encoding="utf-8")[:start], encoding="utf-8")
    result = CliRunner().invoke(app, ["source", "check", "--source", "tabular", "--raw", str(folder)])
    assert result.exit_code == 1
    assert "孔雀蓝 (1)" in result.output
    assert "too few attributes" in result.output


def test_an_image_folder_that_is_a_link_out_is_refused(tmp_path: Path) -> None:
    folder = write_shop(tmp_path / "shop", photos=0)
    (tmp_path / "elsewhere").mkdir()
    (folder / "images").rmdir()
    (folder / "images").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FvrecError, match="leads out of the raw folder"):
        open_source("tabular", folder).discover()


@pytest.mark.parametrize("name", ["shop.csv", "mapping.toml"])
def test_a_table_or_mapping_that_is_a_link_out_is_not_read(tmp_path: Path, name: str) -> None:
    folder = write_shop(tmp_path / "shop")
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    with opened_files() as seen, pytest.raises(FvrecError, match="leads out of the raw folder"):
        open_source("tabular", folder).discover()
    assert outside(seen, folder) == []


def test_check_and_preview_reject_what_an_ingest_rejects(tmp_path: Path) -> None:
    folder = write_shop(tmp_path / "shop", (*ROWS, ROWS[1]))
    (folder / "images" / "a3.jpg").rename(tmp_path / "a3.jpg")
    (folder / "images" / "a3.jpg").symlink_to(tmp_path / "a3.jpg")
    source = open_source("tabular", folder)
    ingested = catalog.build(source, root=tmp_path)
    result = check_source(source)
    assert result.rejected == {"path_outside": 1, "duplicate_id": 1}
    assert result.rejected == Counter(rejected.reason for rejected in ingested.quarantined)
    assert (result.rows, result.pictures) == (4, 2)
    options = ["--source", "tabular", "--raw", str(folder), "--root", str(tmp_path / "root")]
    with opened_files() as seen:
        outcome = CliRunner().invoke(app, ["source", "preview", *options])
    assert outcome.exit_code == 0, outcome.output
    assert "2 products" in outcome.output
    assert str((tmp_path / "a3.jpg").resolve()) not in seen.read
    assert str((folder / "images" / "a2.jpg").resolve()) in seen.read


def test_the_draft_guesses_columns_and_values_of_a_chinese_shop(tmp_path: Path) -> None:
    folder = write_shop(tmp_path, mapping=None)
    made = draft(folder / "shop.csv")
    assert dict(made.columns.roles) == {"id": "货号", "image": "图片", "title": "标题", "group": "标题"}
    assert dict(made.columns.fields) == {"category": "类目", "color": "颜色", "gender": "性别"}
    assert made.undecided == 2
    path = folder / "mapping.toml"
    path.write_text(made.text, encoding="utf-8")
    assert {(mark.field, mark.raw) for mark in undecided(path)} == {("category", "福袋"), ("color", "五彩")}
    assert load_mapping(path).images.folder == "images"
    result = check_source(open_source("tabular", folder))
    assert result.unmapped == {"category": {"福袋": 1}, "color": {"五彩": 1}}
    assert (result.rows, result.pictures, result.admission, result.passed) == (3, 3, [], False)
    path.write_text(made.text.replace("# ?", "# decided,"), encoding="utf-8")
    assert check_source(open_source("tabular", folder)).passed


def test_the_draft_finds_separators_content_and_picture_places(tmp_path: Path) -> None:
    rows = [f"p{number:03},{'Red/Navy' if number % 2 else 'Olive'},Dresses,Women's" for number in range(20)]
    folder = write_shop(tmp_path, tuple(rows), header="ref,c1,c2,c3", mapping=None, photos=0)
    for row in rows:
        name = row.split(",")[0]
        (folder / "images" / name[:3]).mkdir(exist_ok=True)
        (folder / "images" / name[:3] / f"{name}.png").touch()
    text = draft(folder / "shop.csv", images=folder / "images").text
    assert 'id = "ref"' in text
    assert 'file = "{id:.3}/{id}.png"' in text
    assert 'column = "c1"\nsplit = "/"' in text
    assert '"Navy" = "blue" # 10 rows' in text
    assert 'column = "c2"' in text


def test_raw_values_that_toml_must_escape_survive_the_draft(tmp_path: Path) -> None:
    nasty = 'A "quoted" \\ #? \x7f red'
    rows = tuple(f'{n},t{n},"{nasty.replace(chr(34), chr(34) * 2)}",Dress,Women' for n in range(3))
    folder = write_shop(tmp_path, rows, header="id,title,color,category,gender", mapping=None)
    (folder / "mapping.toml").write_text(draft(folder / "shop.csv").text, encoding="utf-8")
    assert load_mapping(folder / "mapping.toml").fields["color"].values == {nasty: "red"}


def test_a_draft_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FvrecError, match="table is missing"):
        draft(tmp_path / "no.csv")
    folder = write_shop(tmp_path, ())
    with pytest.raises(FvrecError, match="the table has no row"):
        draft(folder / "shop.csv")
    (tmp_path / "far").mkdir()
    with pytest.raises(FvrecError, match="outside the table's folder"):
        draft(write_shop(tmp_path / "near") / "shop.csv", images=tmp_path / "far")


@pytest.mark.parametrize(
    ("field", "raw", "expected"),
    [
        ("category", "Casual Shoes", Guess("casual_shoes")),
        ("category", "men's slim shirts", Guess("shirt", "shirts")),
        ("category", "女士高跟鞋", Guess("heels", "高跟鞋")),
        ("category", "包臀裙", Guess("skirt")),
        ("category", "西裤", Guess("pants")),
        ("neckline", "无领", None),
        ("category", "gadget", None),
        ("category", "其他", Guess("other")),
        ("color", "Ｎavy Blue", Guess("blue")),
        ("color", "charred", None),
        ("gender", "Women", Guess("female")),
        ("gender", "Men", Guess("male")),
        ("gender", "男女同款", Guess("unisex")),
    ],
)
def test_guesses(field: str, raw: str, expected: Guess | None) -> None:
    assert guess(field, raw) == expected


def test_limit_and_parquet(tmp_path: Path) -> None:
    rows = tuple(f"A-{n},x,连衣裙,大红,女,a1.jpg" for n in range(50))
    folder = write_shop(tmp_path, rows)
    whole, some = rows_of(folder), rows_of(folder, limit=10, seed=3)
    assert len(some) == 10
    assert some == rows_of(folder, limit=10, seed=3) != rows_of(folder, limit=10, seed=4)
    assert [row for row in whole if row in some] == some
    pq.write_table(pyarrow.csv.read_csv(folder / "shop.csv"), folder / "shop.parquet")
    (folder / "mapping.toml").write_text(MAPPING.replace("shop.csv", "shop.parquet"), encoding="utf-8")
    assert rows_of(folder) == whole


def test_the_manifest_is_written_for_data_put_there_by_hand(tmp_path: Path) -> None:
    source = open_source(
        "tabular", write_shop(tmp_path, mapping='[about]\nname = "my shop"\nlicense = "ours"\n' + MAPPING)
    )
    manifest = source.manifest()
    assert (manifest["method"], manifest["slug"], manifest["license"]) == ("by hand", "my shop", "ours")
    assert manifest["fields"]["颜色"] == "attribute color"
    assert set(manifest["files"]) == {"shop.csv", "mapping.toml"}
    assert all(len(digest) == 64 for digest in manifest["files"].values())


@pytest.mark.real_data
@pytest.mark.skipif(not (MYNTRA / "styles.csv").is_file(), reason="data/raw/myntra is not unpacked")
def test_the_drafted_mapping_of_a_real_table_agrees_with_the_one_made_by_hand(tmp_path: Path) -> None:
    (tmp_path / "images").symlink_to(MYNTRA / "images")
    (tmp_path / "styles.csv").write_bytes((MYNTRA / "styles.csv").read_bytes())
    made = draft(tmp_path / "styles.csv")
    assert set(made.columns.fields) == {"category", "color", "style", "season", "gender"}
    (tmp_path / "mapping.toml").write_text(made.text, encoding="utf-8")
    mapping = load_mapping(tmp_path / "mapping.toml")
    for row in open_source("myntra", MYNTRA, limit=2000).rows():
        if isinstance(row, RawRow):
            told = mapping.fields["category"]
            assert told.canonical(row.raw[told.column]) == row.attributes["category"].value
            assert told.canonical(row.raw[told.column]) in VALUES["category"]


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_mapping_that_the_readme_shows_is_a_whole_one(tmp_path: Path, readme: str) -> None:
    shown = (Path(__file__).parents[2] / readme).read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    rows = ("1,连衣裙一,a1.jpg,连衣裙,藏青/大红,夏季", "2,福袋二,a2.jpg,福袋,,夏季")
    folder = write_shop(tmp_path, rows, header="货号,标题,图片,类目,颜色,季节", mapping=shown)
    first, second = rows_of(folder)
    assert {field: value for field, (value, _) in values(first).items()} == {
        "category": "dress", "color": "blue", "season": "summer", "gender": "male",
    }  # fmt: skip
    assert values(second)["color"] == ("black", "rule")
    assert check_source(open_source("tabular", folder)).unmapped == {"category": {"福袋": 1}, "color": {"大红": 1}}


def test_numbers_that_are_not_finite_stop_no_ingest(tmp_path: Path) -> None:
    folder = write_shop(tmp_path / "raw", mapping=MAPPING.replace("shop.csv", "shop.parquet"))
    table = pyarrow.csv.read_csv(folder / "shop.csv")
    odd = [float("nan"), float("inf"), 2.5]
    table = table.append_column("价格", pa.array(odd)).append_column("尺寸", pa.array([[each, 1.0] for each in odd]))
    pq.write_table(table, folder / "shop.parquet")
    items = catalog.build(open_source("tabular", folder), root=tmp_path).items
    assert [item.raw["价格"] for item in items] == ["", "", "2.5"]
    assert [item.raw["尺寸"] for item in items] == [", 1", ", 1", "2.5, 1"]


def test_a_shop_whose_photos_are_all_behind_addresses_is_admitted(tmp_path: Path) -> None:
    told = ("A-1,x,连衣裙,大红,女,https://shop.example/a1.jpg",)
    open_source("tabular", write_shop(tmp_path, told, photos=0)).discover()
    with pytest.raises(FvrecError, match="no product photo"):
        open_source("tabular", write_shop(tmp_path / "none", photos=0)).discover()
