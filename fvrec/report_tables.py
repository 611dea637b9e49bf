"""Metrics as tables for people: pivoted, with their intervals, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from fvrec.records import Metric

ABSENT = "–"
_ORDER = (
    *("base", "sft", "lora", "base_rank", "mmr", "msd", "dpp", "ssd", "greedy", "denoised_beam", "denoised_swap"),
    *("adaptive_greedy", "replanning", "rl", "rl_swap"),
    *("rerank", "rerank_hard", "rerank_expected", "ceiling", "oracle"),
)
"""Models and strategies in the order of the argument; what is not named here follows in the order of its rows."""


@dataclass(frozen=True)
class Table:
    """Header and rows of text cells, ready to be laid out."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __bool__(self) -> bool:
        return bool(self.rows)

    def markdown(self) -> str:
        """A Markdown table; the first column to the left, the others to the right."""
        lines = [_line(self.header), _line(["---", *["---:"] * (len(self.header) - 1)])]
        return "\n".join([*lines, *(_line([cell(text) for text in row]) for row in self.rows)])


def pivot(metrics: Iterable[Metric], *, row: str | tuple[str, ...], column: str) -> Table:
    """One line per distinct ``row`` (names of Metric's fields), one column per distinct ``column``.

    A metric at a cut-off is labelled ``ndcg@10``. Metrics that fall into one cell are all shown: none is lost.
    """
    names = (row,) if isinstance(row, str) else row
    cells: dict[tuple[str, ...], dict[str, list[str]]] = {}
    columns: dict[str, None] = {}
    for metric in metrics:
        head = label(metric, column)
        columns[head] = None
        cells.setdefault(tuple(label(metric, name) for name in names), {}).setdefault(head, []).append(number(metric))
    heads = sorted(columns, key=lambda head: _ORDER.index(head) if head in _ORDER else len(_ORDER))
    rows = [[*key, *(" / ".join(found.get(head, [ABSENT])) for head in heads)] for key, found in cells.items()]
    return Table([*names, *(head or "value" for head in heads)], rows)


def choose(metrics: Iterable[Metric], *names: str) -> list[Metric]:
    """The metrics of these names, in their order."""
    return [metric for metric in metrics if metric.metric in names]


def label(metric: Metric, name: str) -> str:
    """The text of one dimension; a metric's name carries its cut-off."""
    value = getattr(metric, name)
    if name == "metric" and metric.k >= 0:
        return f"{value}@{metric.k}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {part}" for key, part in sorted(value.items()))
    return str(value)


def number(metric: Metric) -> str:
    """The value, with its interval where there is one: ``0.912 [0.901, 0.922]``."""
    if metric.ci_low is None or metric.ci_high is None:
        return plain(metric.value)
    return f"{plain(metric.value)} [{plain(metric.ci_low)}, {plain(metric.ci_high)}]"


def plain(value: float) -> str:
    """Whole numbers whole, others with three decimals.

    >>> plain(12.0), plain(0.12345)
    ('12', '0.123')
    """
    if math.isnan(value):
        return ABSENT
    return f"{value:.0f}" if float(value).is_integer() and abs(value) >= 2 else f"{value:.3f}"


def cell(text: Any) -> str:
    """Text that cannot break out of a table cell: titles are data, not Markdown or HTML."""
    flat = " ".join(str(text).split())
    for mark, harmless in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("`", "'")):
        flat = flat.replace(mark, harmless)
    return flat


def beside_reports(path: str) -> str:
    """The target of a link from a file in ``reports/`` to a path below the root (or to an absolute one).

    >>> beside_reports("data/raw/a b.jpg"), beside_reports("/photos/1.jpg")
    ('../data/raw/a%20b.jpg', '/photos/1.jpg')
    """
    return quote(path if path.startswith("/") else f"../{path}")


def environment() -> Environment:
    """Jinja over ``fvrec/templates``: an undefined name is an error, and every text can be made a safe ``cell``."""
    made = Environment(
        loader=PackageLoader("fvrec", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown; titles go through the filter ``cell``
    )
    made.filters.update(cell=cell, number=number, plain=plain, beside_reports=beside_reports)
    return made


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
