"""H&M: its columns, the rules on its descriptions, its customers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fvrec.catalog import build
from fvrec.errors import FvrecError
from fvrec.records import Quarantined
from fvrec.schema import FIELDS, VALUES
from fvrec.sources import RawRow, open_source
from fvrec.sources.hm import HmSource
from fvrec.sources.hm_labels import attributes_of
from fvrec.sources.torn import Record, Records
from tests.fvrec.hm_folder import COLUMNS, article, write_articles


def value_of(field: str, **values: str) -> str:
    return attributes_of(article("1", **values))[field].value


def described(field: str, description: str, kind: str = "Dress", name: str = "Ann") -> str:
    return value_of(field, detail_desc=description, product_type_name=kind, prod_name=name)


def test_an_article_becomes_canonical(tmp_path: Path) -> None:
    folder = write_articles(tmp_path, [article("108775015")])
    (row,) = open_source("hm", folder).rows()
    assert isinstance(row, RawRow)
    assert row.item_id == "0108775015"
    assert row.image_path == folder / "images" / "010" / "0108775015.jpg"
    assert row.group_key == "108775"
    assert (row.title, row.description) == ("Strap top", "Jersey top with narrow shoulder straps.")
    assert tuple(row.attributes) == FIELDS
    told = {field: (each.value, each.origin) for field, each in row.attributes.items() if each.origin != "unknown"}
    assert told == {
        "category": ("top", "source"),
        "color": ("black", "source"),
        "style": ("casual", "source"),
        "pattern": ("solid", "source"),
        "gender": ("female", "source"),
        "sleeve_length": ("sleeveless", "rule"),
    }
    assert len(build(open_source("hm", folder), root=tmp_path, workers=1).items) == 1


@pytest.mark.parametrize(
    ("description", "material"),
    [
        ("Blouse in crisp cotton poplin with a collar.", "cotton"),
        ("Dress in a linen and viscose weave.", "linen"),
        ("Dress in softly draping viscose with cotton lining.", "viscose"),
        ("Dress in woven fabric with linen trims. Cotton lining.", "unknown"),
        ("Trousers in imitation leather with a high waist.", "unknown"),
        ("Boots in soft leather with imitation suede details.", "leather"),
        ("Boots in imitation suede. Jersey linings and rubber soles.", "unknown"),
        ("Jumper in a soft, fine knit containing some wool with long sleeves.", "knit"),
        ("Jumper in a soft, fine-knit wool blend.", "wool"),
        ("5-pocket jeans in washed cotton denim.", "denim"),
        ("Leggings in stretch twill with a denim look.", "unknown"),
        ("Sports top in fast-drying functional fabric. The polyester content of the top is recycled.", "polyester"),
        ("Hair elastics without metal clips.", "unknown"),
        ("Metal earrings with plastic beads.", "metal"),
        ("Kangol x H&M. Bucket hat in cotton twill.", "cotton"),
        ("Top in soft jersey.", "unknown"),
    ],
)
def test_material_is_what_the_thing_is_made_of(description: str, material: str) -> None:
    assert described("material", description) == material


@pytest.mark.parametrize(
    ("description", "sleeves"),
    [
        ("Long dress in jersey with short sleeves.", "short"),
        ("Short dress in jersey with a round neckline and long, wide raglan sleeves.", "long"),
        ("Short dress with wide sleeves.", "unknown"),
        ("Dress with wide, 3/4-length sleeves.", "three_quarter"),
        ("Short-sleeved dress in jersey.", "short"),
        ("Sleeveless dress in jersey.", "sleeveless"),
        ("Dress with cap sleeves.", "short"),
        ("Dress with narrow, adjustable shoulder straps.", "sleeveless"),
        ("Dress with short sleeves. V-neck underdress with adjustable shoulder straps.", "short"),
        ("Set with a long-sleeved top and a short-sleeved top.", "unknown"),
    ],
)
def test_sleeves_take_the_nearest_length(description: str, sleeves: str) -> None:
    assert described("sleeve_length", description) == sleeves


@pytest.mark.parametrize(
    ("description", "neckline"),
    [
        ("Dress with a round, gathered neckline.", "round"),
        ("V-neck dress in jersey.", "v_neck"),
        ("Dress with a round neckline and a V-neck at the back.", "round"),
        ("Dress with a V-neck at the front and square neckline at the back.", "v_neck"),
        ("Collarless jacket in woven fabric.", "unknown"),
        ("Dress with no collar.", "unknown"),
        ("Shirt with a turn-down collar.", "collar"),
        ("Jacket with a stand-up collar and a detachable hood.", "hooded"),
        ("Jumper with a ribbed polo neck.", "turtleneck"),
        ("Off-the-shoulder dress with a frilled collar.", "off_shoulder"),
        ("Dress with a boat neck.", "boat"),
        ("Dress with a square neckline.", "square"),
        ("Dress with a rounded hem and ribbing around the neckline.", "unknown"),
        ("Dress in chiffon. Lined with a V-neck underdress in jersey.", "unknown"),
        ("Dress with a round neckline or a V-neck.", "unknown"),
    ],
)
def test_neckline_is_what_is_seen_first(description: str, neckline: str) -> None:
    assert described("neckline", description) == neckline


@pytest.mark.parametrize(
    ("description", "fit"),
    [
        ("5-pocket jeans in denim with super-skinny legs.", "skinny"),
        ("Shirt with a collar. Slim fit with narrow shoulders.", "slim"),
        ("Relaxed-fit top with dropped shoulders.", "loose"),
        ("Straight-cut dress.", "straight"),
        ("T-shirt in jersey with a round neck and straight-cut hem.", "unknown"),
        ("Dress with wide sleeves and fitted cuffs.", "unknown"),
        ("Wide dress in a cotton weave.", "loose"),
        ("Fitted dress in jersey.", "slim"),
        ("Fitted at the top with a flared skirt.", "flared"),
        ("Top for a more comfortable fit.", "unknown"),
        ("Trousers with a regular waist.", "unknown"),
        ("Dress with an oversized collar.", "unknown"),
    ],
)
def test_fit_is_of_the_whole_and_not_of_a_part(description: str, fit: str) -> None:
    assert described("fit", description) == fit


def test_rules_are_asked_only_where_they_apply() -> None:
    bag = "Bag in cotton canvas with a hood and an adjustable shoulder strap. Wide, straight legs."
    assert [described(field, bag, kind="Bag") for field in ("sleeve_length", "neckline", "fit", "material")] == [
        "unknown", "unknown", "unknown", "canvas",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "description", "category"),
    [
        ("Trousers", "5-pocket jeans in washed denim.", "jeans"),
        ("Trousers", "Trousers in twill.", "pants"),
        ("Trousers", "Jumpsuit in woven fabric.", "jumpsuit"),
        ("Jacket", "Straight-cut, knee-length coat in wool.", "coat"),
        ("Jacket", "Padded gilet with a collar.", "vest"),
        ("Sweater", "Jumper in a soft knit.", "sweater"),
        ("Hoodie", "Parka in a cotton weave with a hood.", "coat"),
        ("Hoodie", "Jacket in sweatshirt fabric with a lined hood.", "hoodie"),
        ("Sweater", "Top in soft sweatshirt fabric with a print.", "hoodie"),
        ("Dress", "Short T-shirt dress in jersey.", "dress"),
        ("Dress", "Short shirt dress in cotton.", "dress"),
        ("Unknown", "Push-up bra in lace.", "other"),
        ("Unknown", "Round-necked T-shirts in jersey.", "tshirt"),
        ("Other accessories", "Small shoulder bag in imitation leather.", "bag"),
        ("Belt", "Belt for jeans.", "belt"),
        ("Spaceship", "A ship.", "other"),
    ],
)
def test_a_type_that_names_several_things_is_settled_by_the_description(
    kind: str, description: str, category: str
) -> None:
    assert described("category", description, kind=kind) == category


@pytest.mark.parametrize(
    ("group", "master", "color"),
    [
        ("Dark Blue", "Blue", "blue"),
        ("Dark Orange", "Brown", "brown"),
        ("Dark Orange", "Orange", "orange"),
        ("Other", "Yellowish Green", "green"),
        ("Other", "undefined", "unknown"),
        ("Gold", "Metal", "yellow"),
        ("Silver", "Metal", "gray"),
    ],
)
def test_the_master_colour_settles_what_the_group_leaves_open(group: str, master: str, color: str) -> None:
    assert value_of("color", colour_group_name=group, perceived_colour_master_name=master) == color


@pytest.mark.parametrize(
    ("index", "section", "department", "gender"),
    [
        ("Menswear", "Contemporary Smart", "Jersey", "male"),
        ("Divided", "Divided Collection", "Dresses", "female"),
        ("Sport", "Men H&M Sport", "Men Sport Tops", "male"),
        ("Sport", "Kids Sports", "Tops Girls", "girls"),
        ("Children Sizes 92-140", "Kids Outerwear", "Kids Boy Outdoor", "boys"),
        ("Children Accessories, Swimwear", "Kids & Baby Shoes", "Young Girl Shoes", "girls"),
        ("Children Accessories, Swimwear", "Kids Accessories, Swimwear & D", "Kids Dress-up/Football", "unknown"),
        ("Baby Sizes 50-98", "Baby Essentials & Complements", "Newborn", "unisex"),
    ],
)
def test_gender_goes_from_section_to_department_to_index(
    index: str, section: str, department: str, gender: str
) -> None:
    assert value_of("gender", index_name=index, section_name=section, department_name=department) == gender


def test_style_comes_from_names_then_from_words_and_says_so() -> None:
    by_name = attributes_of(article("1", section_name="Ladies H&M Sport", department_name="Ladies Sport Bottoms"))
    by_word = attributes_of(article("1", section_name="Womens Trend", prod_name="Party dress", detail_desc="Dress."))
    silent = attributes_of(article("1", section_name="Womens Trend", prod_name="Ann", detail_desc="Dress."))
    found = [(each["style"].value, each["style"].origin) for each in (by_name, by_word, silent)]
    assert found == [("sports", "source"), ("party", "rule"), ("unknown", "unknown")]


def test_denim_is_a_material_and_a_print_may_be_told_more_exactly() -> None:
    denim = attributes_of(article("1", graphical_appearance_name="Denim"))
    assert (denim["material"].value, denim["material"].origin, denim["pattern"].value) == ("denim", "source", "unknown")
    leopard = attributes_of(article("1", graphical_appearance_name="All over pattern", prod_name="Leopard dress"))
    assert (leopard["pattern"].value, leopard["pattern"].origin) == ("animal", "rule")
    plain = attributes_of(article("1", graphical_appearance_name="Solid", prod_name="Flower dress"))
    assert plain["pattern"].value == "solid"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (article(""), "missing_id"),
        (article("../../etc/passwd"), "path_outside"),
        (article("1", product_type_name=""), "missing_category"),
    ],
)
def test_a_bad_row_is_quarantined_and_the_next_one_is_read(tmp_path: Path, bad: dict[str, str], reason: str) -> None:
    folder = write_articles(tmp_path, [bad, article("0000000002")])
    first, second = open_source("hm", folder).rows()
    assert isinstance(first, Quarantined)
    assert (first.reason, first.path) == (reason, "articles.csv:2")
    assert isinstance(second, RawRow)


def test_the_folder_that_the_archive_unpacks_into_is_found(tmp_path: Path) -> None:
    write_articles(tmp_path / "h-and-m-personalized-fashion-recommendations", [article("0000000001")])
    (row,) = open_source("hm", tmp_path).rows()
    assert isinstance(row, RawRow)
    assert row.image_path.is_file()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    def complaint() -> str:
        with pytest.raises(FvrecError) as caught:
            open_source("hm", tmp_path / "raw").discover()
        return str(caught.value)

    assert "raw folder is missing" in complaint()
    (tmp_path / "raw").mkdir()
    assert "table is missing" in complaint()
    write_articles(tmp_path / "raw", [article("x")], columns=[name for name in COLUMNS if name != "detail_desc"])
    assert "lacks the column detail_desc" in complaint()
    write_articles(tmp_path / "raw", [article("x")])
    assert "no product photo" in complaint()
    silent = article("0000000001", colour_group_name="", graphical_appearance_name="", index_name="")
    write_articles(tmp_path / "raw", [silent])
    assert "too few attributes" in complaint()


def test_a_table_that_leads_out_of_the_folder_is_not_read(tmp_path: Path) -> None:
    outside = write_articles(tmp_path / "outside", [article("0000000001")])
    raw = write_articles(tmp_path / "raw", [article("0000000001")])
    (raw / "articles.csv").unlink()
    (raw / "articles.csv").symlink_to(outside / "articles.csv")
    with pytest.raises(FvrecError, match="leads out of the raw folder"):
        open_source("hm", raw).discover()


def test_limit_is_a_seeded_sample(tmp_path: Path) -> None:
    folder = write_articles(tmp_path, [article(f"{n:010d}") for n in range(20)])

    def ids(seed: int) -> list[str]:
        return [row.item_id for row in open_source("hm", folder, limit=5, seed=seed).rows() if isinstance(row, RawRow)]

    assert len(ids(1)) == 5
    assert ids(1) == sorted(ids(1)) == ids(1)
    assert ids(1) != ids(2)


def test_the_manifest_describes_both_tables(tmp_path: Path) -> None:
    folder = write_articles(tmp_path, [article("0000000001"), article("0000000002")])
    manifest = open_source("hm", folder, limit=1).manifest()
    assert list(manifest["fields"]) == COLUMNS
    assert "not described by the publisher" not in manifest["fields"].values()
    assert (manifest["rows"], manifest["rows_used"], manifest["images"]) == (2, 1, 2)
    assert list(manifest["files"]) == ["articles.csv"]
    assert manifest["supervised_fields"] == ["category", "color", "pattern", "gender"]


def test_every_answer_is_in_the_schema() -> None:
    for kind in ("Trousers", "Dress", "Sweater", "Unknown", "Spaceship"):
        for text in ("", "…", "Denim.", "In. With.", "A hooded, sleeveless V-neck top in cotton with a collar."):
            attributes = attributes_of(article("1", product_type_name=kind, detail_desc=text, prod_name=""))
            assert all(attribute.value in VALUES[field] for field, attribute in attributes.items())


def test_rows_are_read_as_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is never held: of five thousand lines, one row costs the reading of few."""
    table = write_articles(tmp_path, [article("0000000001")]) / "articles.csv"
    header, line = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([header, *[line] * 5000]), encoding="utf-8")
    read: list[int] = []
    original = Records.__iter__

    def counted(self: Records) -> Iterator[Record]:
        for record in original(self):
            read.append(record.line)
            yield record

    monkeypatch.setattr(Records, "__iter__", counted)
    rows = HmSource(tmp_path).rows()
    assert isinstance(next(rows), RawRow)
    assert len(read) < 100
