"""Which column of a shop's table is what: by the words of its header, and by what its cells hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fvrec import vocab
from fvrec.schema import FIELDS
from fvrec.sources.guessing import guess
from fvrec.sources.mapping import fold
from fvrec.sources.remote import is_address
from fvrec.sources.table import Line

MAX_DISTINCT = 5000
"""Beyond so many different values a column is text, not an attribute."""
SEPARATORS = ("|", ";", "；", "、", "/", ",", "，")
EXAMPLES = 50
SEPARATOR_GAIN = 0.1
"""What a separator must add to the share of known cells to be believed."""
HEADER_BONUS = 1.0
ENOUGH = 0.5
"""Share of the cells that must say something about a field, where the header does not name it."""
_PICTURE = re.compile(r"\.(jpe?g|png|webp|gif|bmp|tiff?)(\?.*)?$", re.IGNORECASE)
ROLE_WORDS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "sku", "item id", "product id", "article id", "item_id", "product_id", "article_id", "code", "货号",
           "编号", "商品编号", "商品id", "款号", "商品编码"),
    "image": ("image", "image url", "image_url", "image path", "image_path", "img", "picture", "photo", "image link",
              "图片", "主图", "图片链接", "图片地址", "商品图片", "图"),
    "title": ("title", "name", "product name", "product_name", "product title", "productdisplayname", "prod_name",
              "标题", "名称", "商品名称", "商品标题", "品名"),
    "description": ("description", "desc", "details", "detail_desc", "body", "描述", "详情", "商品描述", "商品详情"),
    "group": ("group", "product_code", "style code", "style_code", "parent sku", "parent_sku", "design", "款式编号",
              "款号", "spu"),
}  # fmt: skip
_FIELD_HEADERS: Mapping[str, tuple[str, ...]] = {
    "category": ("article type", "articletype", "product_type", "product type", "product_type_name", "类目", "分类"),
    "color": ("basecolour", "base colour", "colour_group_name", "主色"),
    "gender": ("sex", "department", "适用性别", "适用人群"),
    "season": ("适用季节", "上市季节"),
}


@dataclass
class ColumnStatistics:
    """What the cells of one column hold. ``values`` is empty once there are too many different ones."""

    name: str
    filled: int = 0
    characters: int = 0
    pictures: int = 0
    is_text: bool = False
    values: Counter[str] = field(default_factory=Counter)
    distinct: set[int] = field(default_factory=set)
    examples: list[str] = field(default_factory=list)

    def add(self, cell: str) -> None:
        """Count one cell."""
        if not cell:
            return
        self.filled += 1
        self.characters += len(cell)
        self.pictures += bool(_PICTURE.search(cell)) or is_address(cell)
        self.distinct.add(hash(cell))
        if len(self.examples) < EXAMPLES:
            self.examples.append(cell)
        if not self.is_text:
            self.values[cell] += 1
            if len(self.values) > MAX_DISTINCT:
                self.is_text = True
                self.values.clear()

    def said(self, name: str, separator: str = "") -> float:
        """The share of the filled cells that a known word of field ``name`` is read from."""
        if not self.filled or self.is_text:
            return 0.0
        told = sum(count for cell, count in self.values.items() if _says(name, cell, separator))
        return told / self.filled


@dataclass(frozen=True)
class ColumnGuesses:
    """role -> column, field -> column, and for a field with several values in a cell their separator."""

    roles: Mapping[str, str]
    fields: Mapping[str, str]
    separators: Mapping[str, str]


def statistics(header: Sequence[str], lines: Iterable[Line]) -> list[ColumnStatistics]:
    """One pass over the table."""
    columns = [ColumnStatistics(name) for name in header]
    for line in lines:
        if not line.problem:
            for column in columns:
                column.add(line.values.get(column.name, ""))
    return columns


def guess_columns(columns: Sequence[ColumnStatistics]) -> ColumnGuesses:
    """The best column for each role and field; each column has one use (a title may also name the group)."""
    rows = max((column.filled for column in columns), default=0)
    roles: dict[str, str] = {}
    for role in ROLE_WORDS:
        free = [column for column in columns if column.name not in roles.values()]
        best = max(free, key=lambda column: _role_fitness(role, column, rows), default=None)
        if best is not None and _role_fitness(role, best, rows) > 0:
            roles[role] = best.name
    ranked = sorted(
        ((_field_fitness(name, column), name, column) for name in FIELDS for column in columns
         if column.name not in roles.values()),
        key=lambda entry: (-entry[0], FIELDS.index(entry[1])),
    )  # fmt: skip
    fields: dict[str, str] = {}
    separators: dict[str, str] = {}
    for fitness, name, column in ranked:
        if fitness >= ENOUGH and name not in fields and column.name not in fields.values():
            fields[name] = column.name
            separators[name] = _separator(name, column)
    title = next((column for column in columns if column.name == roles.get("title")), None)
    if "group" not in roles and title is not None and len(title.distinct) >= rows / 2:
        roles["group"] = title.name
    return ColumnGuesses(roles, {name: fields[name] for name in FIELDS if name in fields}, separators)


def _role_fitness(role: str, column: ColumnStatistics, rows: int) -> float:
    named = ROLE_WORDS[role]
    header = fold(column.name)
    score = HEADER_BONUS + 1 / (1 + named.index(header)) if header in named else 0.0
    if role == "id":
        unique = column.filled == rows and len(column.distinct) == rows
        return score + 0.5 if unique and (score or column.characters <= 40 * rows) else score / 2
    if role == "image":
        return score + 2 * column.pictures / max(column.filled, 1) if score or column.pictures else 0.0
    if role == "title" and not score:
        # Without a header that says so: text of some length that differs from row to row.
        mean = column.characters / max(column.filled, 1)
        return 0.3 if 8 <= mean <= 200 and len(column.distinct) > rows / 2 else 0.0
    return score


def _field_fitness(name: str, column: ColumnStatistics) -> float:
    words = vocab.load("words")["fields"][name]
    headers = {fold(word) for word in (name, *words["en"], *words["zh"], *_FIELD_HEADERS.get(name, ()))}
    said = max(column.said(name, separator) for separator in ("", *_present(column)))
    if fold(column.name) in headers:
        return HEADER_BONUS + said
    return said


def _separator(name: str, column: ColumnStatistics) -> str:
    """The separator under which clearly more of the column's parts are known than of its whole cells."""
    whole = _known_whole(name, column, "")
    best = max(_present(column), key=lambda separator: _known_whole(name, column, separator), default="")
    return best if best and _known_whole(name, column, best) > whole + SEPARATOR_GAIN else ""


def _present(column: ColumnStatistics) -> list[str]:
    return [separator for separator in SEPARATORS if any(separator in cell for cell in column.values)]


def _known_whole(name: str, column: ColumnStatistics, separator: str) -> float:
    """Share of the cells all of whose parts are known words as a whole."""
    fine = 0
    for cell, count in column.values.items():
        guesses = [guess(name, part) for part in (cell.split(separator) if separator else [cell]) if part.strip()]
        fine += count * all(found is not None and not found.word for found in guesses)
    return fine / max(column.filled, 1)


def _says(name: str, cell: str, separator: str) -> bool:
    parts = cell.split(separator) if separator else [cell]
    found = [(guess(name, part), len(part)) for part in parts if part.strip()]
    # A word inside a longer text says little about what the column is for: whole values do.
    return any(one is not None and (not one.word or len(one.word) * 2 >= length) for one, length in found)
