"""Tables as shops really write them: encodings, delimiters, quotes that are torn, and no row lost."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fvrec.errors import FvrecError
from fvrec.sources import parquet
from fvrec.sources.dialect import detect
from fvrec.sources.table import Line, read_header, read_lines, sampled
from fvrec.sources.torn import MAX_CELL, MAX_LINE

HEADER = "id,title,color"


def lines_of(path: Path, **options: str) -> list[Line]:
    return list(read_lines(path, read_header(path, ("id",)), **options))


def table(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("encoding", "detected"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("gb18030", "gb18030"), ("gbk", "gb18030"), ("utf-16", "utf-16"),
     ("utf-16-le", "utf-16-le"), ("utf-16-be", "utf-16-be")],
)  # fmt: skip
def test_chinese_in_any_usual_encoding(tmp_path: Path, encoding: str, detected: str) -> None:
    path = table(tmp_path, "id,标题,颜色\n1,红色连衣裙,大红\n2,藏青西裤,藏青\n".encode(encoding))
    assert detect(path).encoding == detected
    assert [line.values["颜色"] for line in lines_of(path)] == ["大红", "藏青"]


def test_latin_1_and_a_few_broken_bytes(tmp_path: Path) -> None:
    path = table(tmp_path, "id,title,color\n1,Robe d'été,violet\n2,Jupe plissée à pois,écru\n".encode("latin-1"))
    assert [line.values["color"] for line in lines_of(path)] == ["violet", "écru"]
    mostly = "id,title,color\n1,红色连衣裙红色连衣裙,大红\n2,bro".encode() + b"\xff" + b"ken,red\n"
    assert lines_of(table(tmp_path, mostly))[0].values["color"] == "大红"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_splits_the_header(tmp_path: Path, delimiter: str) -> None:
    path = table(tmp_path, "id,title,color\n1,a; b|c,red\n".replace(",", delimiter) if delimiter != ";" else
                 "id;title;color\n1;a, b|c;red\n")  # fmt: skip
    assert detect(path, ("id", "color")).delimiter == delimiter
    if delimiter in ",;":
        assert lines_of(path)[0].values["color"] == "red"


def test_an_unknown_dialect_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path, HEADER + "\n")
    with pytest.raises(FvrecError, match="unknown encoding"):
        detect(path, encoding="utf-99")
    with pytest.raises(FvrecError, match="unknown delimiter"):
        detect(path, delimiter="~")


def test_line_ends_line_breaks_in_cells_and_bare_quotes(tmp_path: Path) -> None:
    path = table(
        tmp_path, f'{HEADER}\r\n1,"two\r\nlines, and a comma",red\r\n\r\n2,5" heel,blue\r\n3,"say ""hi""",green'
    )
    found = lines_of(path)
    assert [line.values["title"] for line in found] == ["two lines, and a comma", '5" heel', 'say "hi"']
    assert [line.number for line in found] == [1, 4, 5]
    assert not any(line.problem for line in found)


def test_a_quote_that_is_never_closed_costs_its_own_row_only(tmp_path: Path) -> None:
    rows = ["1,fine,red", '2,"torn,blue', *(f"{number},fine,red" for number in range(3, 40))]
    found = lines_of(table(tmp_path, "\n".join([HEADER, *rows])))
    assert [line.number for line in found] == list(range(1, 40))
    assert {line.number: line.problem for line in found if line.problem} == {2: "a quote that is never closed"}


def test_rows_that_another_rows_quote_would_swallow_are_read(tmp_path: Path) -> None:
    rows = ["1,fine,red", '2,"torn,blue', "3,fine,red", '4,also torn",blue', '5,"quoted, fine",red', '6,"torn,x',
            '7,"quoted, fine",red']  # fmt: skip
    found = lines_of(table(tmp_path, "\n".join([HEADER, *rows])))
    assert [line.number for line in found] == [1, 2, 3, 4, 5, 6, 7]
    assert [line.number for line in found if line.problem] == [2, 6]
    assert found[4].values["title"] == "quoted, fine"


def test_a_long_text_with_commas_is_not_taken_for_rows(tmp_path: Path) -> None:
    path = table(tmp_path, f'{HEADER}\n1,"Care:\ncotton, linen, wool\nwash cold",red\n2,x,blue\n')
    assert [line.values["color"] for line in lines_of(path)] == ["red", "blue"]


def test_huge_cells_huge_lines_and_nuls(tmp_path: Path) -> None:
    rows = [f"1,{'x' * (MAX_CELL + 1)},red", f'2,"{"y" * (MAX_CELL + 1)}",red',
            f"3,{'z' * (2 * MAX_LINE)},red", "4,a\0b,red", "\0\0", "5,fine,blue"]  # fmt: skip
    found = lines_of(table(tmp_path, "\n".join([HEADER, *rows])))
    assert [line.number for line in found if line.problem] == [1, 2, 3]
    assert [line.values["title"] for line in found if not line.problem] == ["ab", "fine"]


def test_rows_of_the_wrong_width(tmp_path: Path) -> None:
    path = table(tmp_path, f"{HEADER}\n1,red\n2,a,b,red\n3,x,blue\n")
    assert [bool(line.problem) for line in lines_of(path)] == [True, True, False]
    assert lines_of(path, open_ended="title")[1].values["title"] == "a,b"
    assert [bool(line.problem) for line in lines_of(path, open_ended="description")] == [True, True, False]


def test_a_column_that_comes_twice_is_refused_where_it_is_needed(tmp_path: Path) -> None:
    with pytest.raises(FvrecError, match="the column id comes twice"):
        read_header(table(tmp_path, "id,id,color\n"), ("id",))


def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    with path.open("w") as file:
        file.write(HEADER + "\n")
        file.writelines(f'{number},"A title, number {number} {"x" * 400}",red\n' for number in range(8_000))
    header = read_header(path, ("id",))
    tracemalloc.start()
    try:
        kept = sum(1 for _ in sampled(lambda: read_lines(path, header), limit=100, seed=1))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert kept == 100
    assert peak < path.stat().st_size / 2


def test_a_sample_is_seeded_and_in_order(tmp_path: Path) -> None:
    path = table(tmp_path, "\n".join([HEADER, *(f"{number},x,red" for number in range(200))]))

    def ids(seed: int, limit: int | None = 20) -> list[int]:
        chosen = sampled(lambda: read_lines(path, HEADER.split(",")), limit=limit, seed=seed)
        return [int(line.values["id"]) for line in chosen]

    assert ids(1) == ids(1) == sorted(ids(1))
    assert ids(1) != ids(2)
    assert ids(1, None) == ids(1, 500) == list(range(200))


def test_parquet_gives_the_rows_of_the_csv(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    columns = {"id": [1.0, 2.0, None], "title": ["a", None, "nan"], "colors": [["red", "blue"], [], ["x"]]}
    pq.write_table(pa.table(columns), path)
    found = list(parquet.read_lines(path, parquet.read_header(path, ("id",))))
    assert [line.values["id"] for line in found] == ["1", "2", ""]
    assert [line.values["title"] for line in found] == ["a", "", ""]
    assert found[0].values["colors"] == "red, blue"
    with pytest.raises(FvrecError, match="lacks the column sku"):
        parquet.read_header(path, ("sku",))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FvrecError, match="not a Parquet file"):
        parquet.read_header(path, ("id",))
