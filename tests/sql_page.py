"""The queries of ``docs/sql.md`` and their outputs: ``python -m tests.sql_page ROOT`` writes the outputs again."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from fvrec.artifacts import atomic_write
from fvrec.config import Settings
from warehouse.read import Table, Warehouse

PAGE = Path(__file__).parents[1] / "docs" / "sql.md"
_QUERY = re.compile(r"```sql\n(?P<sql>.*?)```\n(?:\n```text\n(?P<shown>.*?)```\n)?", re.DOTALL)


def queries(page: str) -> list[tuple[str, str]]:
    """Each query with the output that the page shows for it; an empty text where it shows none."""
    return [(found["sql"].strip(), found["shown"] or "") for found in _QUERY.finditer(page)]


def as_text(table: Table) -> str:
    """Columns under their names, numbers to the right."""
    rows = [table.columns, *(tuple("" if cell is None else str(cell) for cell in row) for row in table.rows)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(table.columns))]
    numbers = [
        all(isinstance(row[at], (int, float)) or row[at] is None for row in table.rows) for at in range(len(widths))
    ]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numbers, strict=True)
        )
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "".join(f"{line.rstrip()}\n" for line in lines)


def written_again(page: str, warehouse: Warehouse) -> str:
    """The page with what the queries give now."""

    def block(found: re.Match[str]) -> str:
        shown = as_text(warehouse.query(found["sql"], max_rows=30))
        return f"```sql\n{found['sql']}```\n\n```text\n{shown}```\n"

    return _QUERY.sub(block, page)


if __name__ == "__main__":
    settings = Settings(root=Path(sys.argv[1]))
    atomic_write(PAGE, written_again(PAGE.read_text(encoding="utf-8"), Warehouse(settings.snapshot)))
