"""What is a source at all: pictures, a category, and two more attributes, for every connector alike."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fvrec.config import DRAWN, SOURCES
from fvrec.errors import FvrecError
from fvrec.sources import open_source
from fvrec.sources.admission import require_labels, require_pictures
from tests.fvrec.hm_folder import article, write_articles
from tests.fvrec.myntra_folder import write_folder
from tests.fvrec.shop_folder import ROWS, write_shop
from tests.fvrec.test_sources_deepfashion import coarse

NO_LABELS = "graphical_appearance_name", "index_name"


def myntra(raw: Path, told: bool) -> None:
    silent = "1,,Apparel,Topwear,Tshirts,,Fall,2011,,x"
    write_folder(raw, ["1,Men,Apparel,Topwear,Tshirts,Blue,Fall,2011,Casual,x" if told else silent], photos=["1"])


def hm(raw: Path, told: bool) -> None:
    write_articles(raw, [article("0000000001", **({} if told else dict.fromkeys(NO_LABELS, "")))])


def deepfashion(raw: Path, told: bool) -> None:
    coarse(raw)
    if not told:
        (raw / "Anno_coarse" / "list_attr_img.txt").unlink()


def tabular(raw: Path, told: bool) -> None:
    write_shop(raw, ROWS if told else ("A-1,x,连衣裙,,,a1.jpg",))


FOLDERS: Mapping[str, Callable[[Path, bool], None]] = {
    "myntra": myntra,
    "myntra-small": myntra,
    "hm": hm,
    "deepfashion": deepfashion,
    "tabular": tabular,
}


def test_every_source_that_reads_files_is_asked() -> None:
    """A new connector names itself here, or has a test of admission of its own."""
    assert set(FOLDERS) | {DRAWN} >= set(SOURCES)


@pytest.mark.parametrize("name", FOLDERS)
def test_pictures_and_labels_make_a_source(name: str, tmp_path: Path) -> None:
    FOLDERS[name](tmp_path / "raw", True)
    open_source(name, tmp_path / "raw").discover()


@pytest.mark.parametrize("name", FOLDERS)
def test_without_pictures_it_is_none(name: str, tmp_path: Path) -> None:
    FOLDERS[name](tmp_path / "raw", True)
    for folder in ("images", "img"):
        shutil.rmtree(tmp_path / "raw" / folder, ignore_errors=True)
    with pytest.raises(FvrecError, match="no product photo"):
        open_source(name, tmp_path / "raw").discover()


@pytest.mark.parametrize("name", FOLDERS)
def test_with_too_few_labels_it_is_none(name: str, tmp_path: Path) -> None:
    FOLDERS[name](tmp_path / "raw", False)
    with pytest.raises(FvrecError, match=r"too few attributes.*found: 'category.*allowed: pictures, a category"):
        open_source(name, tmp_path / "raw").discover()


@pytest.mark.parametrize(
    ("rows", "admitted"),
    [
        ([{"category": "a", "color": "b", "fit": "c"}], True),
        ([{"category": "a", "color": ""}, {"color": "b"}, {"fit": "c"}], True),
        ([{"category": "a", "color": "b"}], False),
        ([{"category": "", "color": "b", "fit": "c", "style": "d"}], False),
        ([], True),
    ],
)
def test_the_rule(rows: list[dict[str, str]], admitted: bool, tmp_path: Path) -> None:
    if admitted:
        require_labels(tmp_path, rows)
    else:
        with pytest.raises(FvrecError, match="too few attributes"):
            require_labels(tmp_path, rows)


def test_a_folder_of_other_files_holds_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "notes.txt").write_text("x")
    with pytest.raises(FvrecError, match="no product photo"):
        require_pictures(tmp_path, layout="x")
    (tmp_path / "a" / "b" / "1.JPEG").write_bytes(b"")
    require_pictures(tmp_path, layout="x")
