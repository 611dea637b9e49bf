"""A small folder in the layout of H&M's competition data, for tests."""

from __future__ import annotations

import csv
from pathlib import Path

from tests.fvrec.myntra_folder import write_photo

COLUMNS = [
    "article_id", "product_code", "prod_name", "product_type_no", "product_type_name", "product_group_name",
    "graphical_appearance_no", "graphical_appearance_name", "colour_group_code", "colour_group_name",
    "perceived_colour_value_id", "perceived_colour_value_name", "perceived_colour_master_id",
    "perceived_colour_master_name", "department_no", "department_name", "index_code", "index_name",
    "index_group_no", "index_group_name", "section_no", "section_name", "garment_group_no", "garment_group_name",
    "detail_desc",
]  # fmt: skip
USUAL = {
    "product_code": "108775",
    "prod_name": "Strap top",
    "product_type_name": "Vest top",
    "product_group_name": "Garment Upper body",
    "graphical_appearance_name": "Solid",
    "colour_group_name": "Black",
    "perceived_colour_master_name": "Black",
    "department_name": "Jersey Basic",
    "index_name": "Ladieswear",
    "index_group_name": "Ladieswear",
    "section_name": "Womens Everyday Basics",
    "garment_group_name": "Jersey Basic",
    "detail_desc": "Jersey top with narrow shoulder straps.",
}


def article(article_id: str, **values: str) -> dict[str, str]:
    """One line of articles.csv; what is not given is usual."""
    return {**dict.fromkeys(COLUMNS, "0"), **USUAL, "article_id": article_id, **values}


def write_articles(raw_dir: Path, articles: list[dict[str, str]], *, columns: list[str] = COLUMNS) -> Path:
    """``articles.csv`` with these lines, and a photo for each."""
    raw_dir.mkdir(parents=True, exist_ok=True)
    with (raw_dir / "articles.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(articles)
    for seed, each in enumerate(articles):
        item_id = each["article_id"].zfill(10)
        if item_id.isdigit():
            write_photo(raw_dir / "images" / item_id[:3] / f"{item_id}.jpg", seed)
    return raw_dir


def write_purchases(raw_dir: Path, lines: list[str]) -> None:
    """``transactions_train.csv`` with these data lines."""
    header = "t_dat,customer_id,article_id,price,sales_channel_id"
    (raw_dir / "transactions_train.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
