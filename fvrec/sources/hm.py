"""H&M Personalized Fashion Recommendations: articles.csv, images/0xx/0xxxxxxxxx.jpg and transactions_train.csv.

Dataset: the Kaggle competition h-and-m-personalized-fashion-recommendations (H&M Group, 2022). The user downloads it
and accepts its rules; nothing of it is part of this project.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fvrec.artifacts import digest_file
from fvrec.parallel import Progress
from fvrec.records import Quarantined
from fvrec.sources.admission import require_labels, require_pictures
from fvrec.sources.base import Purchase, RawRow
from fvrec.sources.folder import SAFE_ID, find_base, require_inside
from fvrec.sources.hm_labels import COLUMNS, DESCRIPTION, MASTER_COLOR, TABLES, TEXTS, TITLE, VOCABULARY, attributes_of
from fvrec.sources.hm_meanings import MEANINGS
from fvrec.sources.raw_values import count_values, unmapped
from fvrec.sources.table import Line, read_header, read_lines, sampled

ARTICLE, PRODUCT = "article_id", "product_code"
LAYOUT = "a folder with articles.csv and images/0xx/0xxxxxxxxx.jpg"
PURCHASE_COLUMNS = ("t_dat", "customer_id", ARTICLE)
ID_DIGITS = 10
_NEEDED = (ARTICLE, PRODUCT, *COLUMNS.values(), MASTER_COLOR, *TEXTS)


class HmSource:
    """Connector for a folder that the user has unpacked. ``limit`` takes a seeded sample of its articles."""

    name = "hm"
    supervised_fields = tuple(COLUMNS)

    def __init__(self, raw_dir: Path, *, seed: int = 7, limit: int | None = None) -> None:
        self.raw_dir = raw_dir
        self._seed, self._limit = seed, limit

    def discover(self) -> None:
        """FvrecError when the folder, the table, one of its columns, the photos or the labels are missing."""
        table = self._table()
        self._header()
        require_pictures(table.parent / "images", layout=LAYOUT)
        lines = (line.values for line in self._lines() if not line.problem)
        require_labels(table, ({field: line[column] for field, column in COLUMNS.items()} for line in lines))

    def prepare(self, progress: Progress = iter) -> None:
        """Nothing: the user has unpacked the files."""

    def rows(self) -> Iterator[RawRow | Quarantined]:
        """The articles in the order of the table; those without id or product type, or torn, as Quarantined."""
        self.discover()
        images = self._table().parent / "images"
        for line in sampled(self._lines, limit=self._limit, seed=self._seed):
            yield self._row(line, images)

    def purchases(self) -> Iterator[Purchase | Quarantined]:
        """The lines of transactions_train.csv, one purchase each; nothing when the user did not unpack it."""
        table = self._purchase_table()
        if table is None:
            return
        header = read_header(table, PURCHASE_COLUMNS)
        for line in read_lines(table, header, open_ended=header[-1]):
            yield self._purchase(line, table.name)

    def manifest(self) -> dict[str, Any]:
        """Where the user got the data, what its columns mean, and the digests of the tables as they lie there."""
        self.discover()
        table, header = self._table(), self._header()
        lines = sum(1 for _ in self._lines())
        purchases = self._purchase_table()
        return {
            "source": self.name,
            "slug": "h-and-m-personalized-fashion-recommendations",
            "link": "https://www.kaggle.com/competitions/h-and-m-personalized-fashion-recommendations",
            "method": "by hand",
            "license": "the competition's rules: research and education, no redistribution; photos stay with H&M",
            "fields": {name: MEANINGS.get(name, "not described by the publisher") for name in header},
            "supervised_fields": list(self.supervised_fields),
            "rows": lines,
            "rows_used": lines if self._limit is None else min(lines, self._limit),
            "images": sum(1 for _ in (table.parent / "images").rglob("*.jpg")),
            "files": {each.name: digest_file(each) for each in (table, purchases) if each},
        }

    def unmapped(self) -> dict[str, Counter[str]]:
        """table of the vocabulary -> raw values that it does not name, with their counts."""
        return unmapped(VOCABULARY, count_values(self._lines(), TABLES))

    def _table(self) -> Path:
        table = find_base(self.raw_dir, ["articles.csv"], layout=LAYOUT) / "articles.csv"
        require_inside(table, self.raw_dir)
        return table

    def _purchase_table(self) -> Path | None:
        table = self._table().with_name("transactions_train.csv")
        require_inside(table, self.raw_dir)
        return table if table.is_file() else None

    def _header(self) -> tuple[str, ...]:
        return read_header(self._table(), _NEEDED)

    def _lines(self) -> Iterator[Line]:
        return read_lines(self._table(), self._header(), open_ended=DESCRIPTION)

    def _row(self, line: Line, images: Path) -> RawRow | Quarantined:
        where = f"articles.csv:{line.number + 1}"
        if line.problem:
            return self._reject(where, "bad_row", line.problem)
        item_id = article_id(line.values[ARTICLE])
        if not item_id:
            return self._reject(where, "missing_id", f"{ARTICLE} is empty")
        if not SAFE_ID.fullmatch(item_id):
            return self._reject(where, "path_outside", f"the id {item_id[:80]!r} is no plain file name")
        if not line.values[COLUMNS["category"]]:
            return self._reject(where, "missing_category", f"{COLUMNS['category']} is empty for article {item_id}")
        return RawRow(
            item_id=item_id,
            group_key=line.values[PRODUCT] or item_id,
            image_path=images / f"{item_id[:3]}/{item_id}.jpg",
            title=line.values[TITLE],
            description=line.values[DESCRIPTION],
            raw=line.values,
            attributes=attributes_of(line.values),
        )

    def _purchase(self, line: Line, table: str) -> Purchase | Quarantined:
        where = f"{table}:{line.number + 1}"
        if line.problem:
            return self._reject(where, "bad_row", line.problem)
        day, customer, article = (line.values[name] for name in PURCHASE_COLUMNS)
        if not customer or not article:
            return self._reject(where, "missing_id", f"no customer or article: {_shown(line.values)}")
        try:
            at = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            return self._reject(where, "bad_date", f"{day[:40]!r} is no day like 2018-09-20")
        return Purchase(customer, article_id(article), at)

    def _reject(self, where: str, reason: str, detail: str) -> Quarantined:
        return Quarantined(self.name, where, reason, detail)


def article_id(raw: str) -> str:
    """An article's id with the leading zero that spreadsheets take away.

    >>> article_id("108775015")
    '0108775015'
    """
    return raw.zfill(ID_DIGITS) if raw.isascii() and raw.isdigit() else raw


def _shown(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={values[name][:40]!r}" for name in PURCHASE_COLUMNS)
