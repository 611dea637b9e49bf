"""A small Chinese shop with a table, photos and a mapping file, for tests of source ``tabular``."""

from __future__ import annotations

from pathlib import Path

from tests.fvrec.myntra_folder import write_photo

HEADER = "货号,标题,类目,颜色,性别,图片"
ROWS = (
    "A-1,红色碎花连衣裙,连衣裙,大红,女,a1.jpg",
    "A-2,藏青色修身西裤,西裤,藏青,男,a2.jpg",
    "A-3,神秘礼盒,福袋,五彩,女,a3.jpg",
)
MAPPING = """
[table]
file = "shop.csv"
[columns]
id = "货号"
title = "标题"
image = "图片"
[images]
folder = "images"
[fields.category]
column = "类目"
values = { "连衣裙" = "dress", "西裤" = "pants", "福袋" = "other" }
[fields.color]
column = "颜色"
values = { "大红" = "red", "藏青" = "blue", "五彩" = "unknown" }
[fields.gender]
column = "性别"
values = { "女" = "female", "男" = "male" }
"""


def write_shop(
    folder: Path, rows: tuple[str, ...] = ROWS, *, header: str = HEADER, mapping: str | None = MAPPING, photos: int = 3
) -> Path:
    """``shop.csv``, ``images/a1.jpg`` … and ``mapping.toml``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shop.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    if mapping is not None:
        (folder / "mapping.toml").write_text(mapping, encoding="utf-8")
    (folder / "images").mkdir(exist_ok=True)
    for number in range(1, photos + 1):
        write_photo(folder / "images" / f"a{number}.jpg", number)
    return folder
