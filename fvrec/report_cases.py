"""Single cases for the reports: answers that are wrong, and ranked lists with their explanations."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fvrec.evaluation.failures import CONFUSED, failure_class, wrong_values
from fvrec.records import Item, Prediction, Ranking

__all__ = ["CONFUSED", "Failure", "answer_record", "failures", "spread", "worked_lists"]


@dataclass(frozen=True)
class Failure:
    """An answer that is not right: its kind, and which fields differ. ``wrong``: field -> (label, answer)."""

    prediction: Prediction
    item: Item
    kind: str
    wrong: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class WorkedPosition:
    """One position of a worked list and the product's title."""

    ranking: Ranking
    title: str


@dataclass(frozen=True)
class WorkedList:
    """One ranked list for the reader."""

    query_id: str
    strategy: str
    positions: Sequence[WorkedPosition]


def failures(predictions: Iterable[Prediction], items: Mapping[str, Item], fields: Collection[str]) -> list[Failure]:
    """Answers that the evaluation counts as failures: invalid ones first, then by the number of wrong fields.

    Those on the test split that are invalid, or differ from a label of the source in one of ``fields`` (those that it
    supervises).
    """
    tested = (row for row in predictions if row.item_id in items and items[row.item_id].split == "test")
    found = (_failure(row, items[row.item_id], fields) for row in tested)
    return sorted((one for one in found if one is not None), key=_severity)


def spread(cases: Sequence[Failure], count: int) -> list[Failure]:
    """At most ``count`` cases that take turns between the kinds, so that no kind hides the others."""
    by_kind: dict[str, list[Failure]] = {}
    for case in cases:
        by_kind.setdefault(case.kind, []).append(case)
    turns = max((len(group) for group in by_kind.values()), default=0)
    in_turn = (group[turn] for turn in range(turns) for group in by_kind.values() if turn < len(group))
    return [case for case, _ in zip(in_turn, range(count), strict=False)]


def worked_lists(rankings: Iterable[Ranking], items: Mapping[str, Item]) -> list[WorkedList]:
    """The lists that carry explanations, ordered by query and strategy."""
    by_list: dict[tuple[str, str], list[WorkedPosition]] = {}
    for row in sorted(rankings, key=lambda one: (one.query_id, one.strategy, one.position)):
        if row.explanation:
            title = items[row.item_id].title if row.item_id in items else ""
            by_list.setdefault((row.query_id, row.strategy), []).append(WorkedPosition(row, title))
    return [WorkedList(query, strategy, positions) for (query, strategy), positions in by_list.items()]


def answer_record(row: Prediction, items: Mapping[str, Item]) -> dict[str, Any]:
    """One line of ``extraction_<model>.json``: the answer, the judgement on it, and the labels."""
    item = items.get(row.item_id)
    return {
        "item_id": row.item_id,
        "inputs": row.inputs,
        "mode": row.mode,
        "json_valid": row.json_valid,
        "schema_valid": row.schema_valid,
        "error_class": row.error_class,
        "error": row.error,
        "attributes": dict(row.attributes),
        "confidence": dict(row.confidence),
        "labels": item.values if item else {},
        "raw_output": row.raw_output,
    }


def _failure(row: Prediction, item: Item, fields: Collection[str]) -> Failure | None:
    kind = failure_class(row, item, fields)
    if not kind:
        return None
    return Failure(row, item, kind, wrong_values(row, item, fields) if row.schema_valid else {})


def _severity(case: Failure) -> tuple[Any, ...]:
    row = case.prediction
    return (row.schema_valid, -len(case.wrong), row.item_id, row.inputs, row.mode)
