"""Vocabulary files: only schema values on the right, and every raw value of the real files on the left."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fvrec import vocab
from fvrec.errors import FvrecError
from fvrec.schema import VALUES
from fvrec.sources import RawRow, open_source
from fvrec.sources.hm import HmSource
from fvrec.sources.myntra import MyntraSource
from fvrec.sources.raw_values import canonical, words
from fvrec.sources.text_rules import load_rules
from tests.fvrec.myntra_folder import write_photo

RAW = Path(__file__).parents[2] / "data" / "raw"
TABLES = {
    "myntra": {field: field for field in ("category", "color", "style", "season", "gender")},
    "myntra_styles": {each: each for each in ("material", "pattern", "fit", "sleeve_length", "neckline", "style")},
    "hm": {"category": "category", "color": "color", "color_master": "color", "color_pair": "color",
           "pattern": "pattern", "material": "material", "gender": "gender"},
    "deepfashion": {"categories": "category"},
}  # fmt: skip
"""vocabulary -> table -> the field whose values stand on its right."""
REAL = ("myntra", "myntra-small", "hm")


def real(name: str) -> Any:
    table = RAW / name / ("articles.csv" if name == "hm" else "styles.csv")
    return pytest.param(
        name,
        marks=[
            pytest.mark.real_data,
            pytest.mark.skipif(not table.is_file(), reason=f"data/raw/{name} is not unpacked"),
        ],
    )


def strangers(vocabulary: str, tables: dict[str, str]) -> list[tuple[str, str, str]]:
    return [
        (vocabulary, table, value)
        for table, field in tables.items()
        for value in words(vocabulary, table).values()
        if value not in VALUES[field]
    ]


@pytest.mark.parametrize("vocabulary", TABLES)
def test_tables_map_into_the_schema(vocabulary: str) -> None:
    assert strangers(vocabulary, TABLES[vocabulary]) == []


@pytest.mark.parametrize("vocabulary", ["hm_rules", "deepfashion"])
def test_rules_name_values_of_the_schema(vocabulary: str) -> None:
    assert set(load_rules(vocabulary)) <= set(VALUES)


def test_a_value_outside_the_schema_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"category": {"Dress": "gown"}}
    rules = {"fit": {"tiers": [{"scope": "x", "gigantic": ["big"]}]}}
    monkeypatch.setattr(vocab, "load", lambda name: table if name == "a file of this test" else rules)
    assert strangers("a file of this test", {"category": "category"}) == [("a file of this test", "category", "gown")]
    with pytest.raises(FvrecError, match=r"outside the schema.*gigantic"):
        load_rules("another file of this test")


def test_two_spellings_may_not_disagree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocab, "load", lambda name: {"color": {"Red": "red", "RED": "pink"}})
    with pytest.raises(FvrecError, match="mapped twice"):
        canonical("a third file of this test", "color", "red")


def opened(name: str, folder: Path) -> MyntraSource | HmSource:
    """The source over the real table and one photo: a vocabulary test needs no more, and CI unpacks no more."""
    for table in (RAW / name).glob("*.csv"):
        shutil.copy(table, folder / table.name)
    write_photo(folder / "images" / "1.jpg", seed=1)
    source = open_source(name, folder)
    assert isinstance(source, MyntraSource | HmSource)
    return source


@pytest.mark.parametrize("name", [real(name) for name in REAL])
def test_the_real_tables(name: str, tmp_path: Path) -> None:
    source = opened(name, tmp_path)
    assert source.unmapped() == {}
    rows = [row for row in source.rows() if isinstance(row, RawRow)]
    assert len(rows) >= 10_000
    values = {field: Counter(row.attributes[field].value for row in rows) for field in VALUES}
    assert values["category"]["other"] / len(rows) < 0.05
    assert values["gender"]["unknown"] / len(rows) < 0.005
    assert [value for field, counts in values.items() for value in counts if value not in VALUES[field]] == []


@pytest.mark.parametrize("name", [real("hm")])
def test_rules_tell_something_of_many_real_articles(name: str, tmp_path: Path) -> None:
    """The least shares of garments that each rule is to tell of: a rule that falls silent is noticed."""
    rows = [row for row in opened(name, tmp_path).rows() if isinstance(row, RawRow)]
    garments = [
        row for row in rows if row.attributes["category"].value in {"dress", "blouse", "shirt", "top", "tshirt"}
    ]
    told = {
        field: sum(row.attributes[field].origin == "rule" for row in garments) / len(garments)
        for field in ("material", "fit", "sleeve_length", "neckline")
    }
    assert told["material"] > 0.4, told
    assert told["fit"] > 0.3, told
    assert told["sleeve_length"] > 0.8, told
    assert told["neckline"] > 0.5, told
