from pathlib import Path

import pytest

from fvrec import vocab
from fvrec.errors import FvrecError
from fvrec.records import Quarantined
from fvrec.schema import FIELDS, VALUES
from fvrec.sources import RawRow, open_source
from fvrec.sources.myntra import COLUMNS, MyntraSource
from tests.fvrec.myntra_folder import HEADER, line, write_folder

REAL = Path(__file__).parents[2] / "data" / "raw" / "myntra"
needs_myntra = pytest.mark.skipif(not (REAL / "styles.csv").is_file(), reason="data/raw/myntra is not unpacked")


def rows_of(raw_dir: Path, **options: int) -> list[RawRow | Quarantined]:
    return list(open_source("myntra", raw_dir, **options).rows())


def test_an_unknown_source_names_the_allowed_ones(tmp_path: Path) -> None:
    with pytest.raises(FvrecError, match=r"unknown source.*'myntr'.*embedded, myntra"):
        open_source("myntr", tmp_path)


@pytest.mark.parametrize("options", [{"items": 0}, {"limit": 0}, {"limit": -3}])
def test_a_catalogue_of_nothing_is_refused(tmp_path: Path, options: dict[str, int]) -> None:
    with pytest.raises(FvrecError, match="too few"):
        open_source("embedded", tmp_path, **options)


def test_a_row_becomes_canonical(tmp_path: Path) -> None:
    (row,) = rows_of(
        write_folder(tmp_path, [line("15970", "Turtle Check Men Shirt", article="Shirts")], photos=["15970"])
    )
    assert isinstance(row, RawRow)
    assert {field: row.attributes[field].value for field in COLUMNS} == {
        "category": "shirt", "color": "blue", "style": "casual", "season": "fall", "gender": "male",
    }  # fmt: skip
    assert all(row.attributes[field].origin == "source" for field in COLUMNS)
    silent = [field for field in FIELDS if field not in COLUMNS]
    assert {(row.attributes[field].value, row.attributes[field].origin) for field in silent} == {("unknown", "unknown")}
    assert row.raw["baseColour"] == "Navy Blue"
    assert row.title == "Turtle Check Men Shirt"


def test_a_title_with_bare_commas_is_put_together_again(tmp_path: Path) -> None:
    (row,) = rows_of(write_folder(tmp_path, [line("1", "Belt, Wallet, and more")], photos=["1"]))
    assert isinstance(row, RawRow)
    assert row.title == "Belt, Wallet, and more"
    assert row.attributes["season"].value == "fall"


def test_quoted_commas_byte_order_mark_and_nan(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [line("1", '"Shirt, blue"', usage="NA"), line("2", "x", color="nan")], photos=["1"])
    table = folder / "styles.csv"
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    first, second = rows_of(folder)
    assert isinstance(first, RawRow)
    assert isinstance(second, RawRow)
    assert first.title == "Shirt, blue"
    assert first.attributes["style"].origin == "unknown"
    assert second.raw["baseColour"] == ""
    assert second.attributes["color"].value == "unknown"


def test_a_style_that_the_column_lacks_comes_from_the_title_and_says_so(tmp_path: Path) -> None:
    lines = [line("1", "Nike Men Running Shoes", usage="NA"), line("2", "Blue Thing", usage="NA"), line("3", "Running")]
    by_rule, silent, by_column = rows_of(write_folder(tmp_path, lines, photos=["1"]))
    assert isinstance(by_rule, RawRow)
    assert isinstance(silent, RawRow)
    assert isinstance(by_column, RawRow)
    assert (by_rule.attributes["style"].value, by_rule.attributes["style"].origin) == ("sports", "rule")
    assert silent.attributes["style"].value == "unknown"
    assert (by_column.attributes["style"].value, by_column.attributes["style"].origin) == ("casual", "source")


def test_new_raw_values_are_other_or_unknown_and_are_reported(tmp_path: Path) -> None:
    source = MyntraSource(
        write_folder(tmp_path, [line("1", "x", article="Moon Boots", color="Octarine")], photos=["1"])
    )
    (row,) = source.rows()
    assert isinstance(row, RawRow)
    assert (row.attributes["category"].value, row.attributes["color"].value) == ("other", "unknown")
    assert source.unmapped() == {"category": {"Moon Boots": 1}, "color": {"Octarine": 1}}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (line("", "x"), "missing_id"),
        (line("1", "x", article=""), "missing_category"),
        (line("../../etc/passwd", "x"), "path_outside"),
        (line("/etc/passwd", "x"), "path_outside"),
        (line("..", "x"), "path_outside"),
        ("7,Men,Apparel", "bad_row"),
    ],
)
def test_a_bad_row_is_quarantined_and_the_next_one_is_read(tmp_path: Path, bad: str, reason: str) -> None:
    first, second = rows_of(write_folder(tmp_path, [bad, line("8", "fine")], photos=["8"]))
    assert isinstance(first, Quarantined)
    assert first.reason == reason
    assert "2" in first.path
    assert isinstance(second, RawRow)


def test_names_that_differ_in_case_and_punctuation_share_a_group(tmp_path: Path) -> None:
    lines = [
        line("1", "Puma Men's T-shirt"),
        line("2", "PUMA  men s t shirt"),
        line("3", "Puma Men Cap"),
        line("4", ""),
    ]
    keys = [row.group_key for row in rows_of(write_folder(tmp_path, lines, photos=["1"])) if isinstance(row, RawRow)]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_limit_is_a_seeded_sample_in_the_order_of_the_table(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [line(str(n), f"Name {n}") for n in range(50)], photos=["1"])
    first, again, other = (rows_of(folder, limit=10, seed=seed) for seed in (1, 1, 2))
    ids = [row.item_id for row in first if isinstance(row, RawRow)]
    assert len(ids) == 10
    assert ids == sorted(ids, key=int)
    assert first == again
    assert first != other
    assert len(rows_of(folder, limit=1000)) == 50


def test_missing_folder_table_column_or_photos(tmp_path: Path) -> None:
    def complaint(raw_dir: Path) -> str:
        with pytest.raises(FvrecError) as caught:
            open_source("myntra", raw_dir).discover()
        return str(caught.value)

    assert "raw folder is missing" in complaint(tmp_path / "nowhere")
    assert "table is missing" in complaint(tmp_path)
    (tmp_path / "styles.csv").write_text(HEADER.replace("baseColour,", "") + "\n")
    assert "lacks the column baseColour" in complaint(tmp_path)
    (tmp_path / "styles.csv").write_text(HEADER + "\n")
    assert "no product photo" in complaint(tmp_path)
    (tmp_path / "images").mkdir()
    assert "no product photo" in complaint(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "styles.csv"]


@pytest.mark.parametrize("field", sorted(COLUMNS))
def test_the_vocabulary_maps_into_the_schema(field: str) -> None:
    assert set(vocab.load("myntra")[field].values()) <= set(VALUES[field])


def test_the_manifest_describes_the_table(tmp_path: Path) -> None:
    source = open_source("myntra", write_folder(tmp_path, [line("1", "x"), line("2", "y")], photos=["1"]), limit=1)
    manifest = source.manifest()
    assert (manifest["rows"], manifest["rows_used"], manifest["images"]) == (2, 1, 1)
    assert list(manifest["fields"]) == HEADER.split(",")
    assert manifest["method"] == "by hand"
    before = manifest["files"]["styles.csv"]
    write_folder(tmp_path, [line("1", "x"), line("2", "z")], photos=[])
    assert source.manifest()["files"]["styles.csv"] != before


@needs_myntra
@pytest.mark.real_data
def test_every_raw_value_of_the_real_table_is_mapped() -> None:
    source = MyntraSource(REAL)
    assert source.unmapped() == {}
    rows = [row for row in source.rows() if isinstance(row, RawRow)]
    assert len(rows) >= 10_000
    other = sum(row.attributes["category"].value == "other" for row in rows)
    assert other / len(rows) < 0.05
