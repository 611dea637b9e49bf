"""Every write: records in, one transaction each, the rows of their key replaced.

Saving the same thing twice leaves no duplicate. The key is the smallest thing that is whole, so that a run may save
in several calls: a metric by all its dimensions, a curve, a confusion matrix, a ranked list, one model variant's
predictions, a source's items. ``clear_run`` removes what an earlier attempt of a run left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from fvrec.errors import FvrecError
from fvrec.records import (
    Confusion,
    CurvePoint,
    Embedding,
    Interaction,
    Item,
    Metric,
    Prediction,
    Quarantined,
    Ranking,
    Run,
    User,
)
from warehouse.catalogue import insert_items, insert_quarantine, mark_left_out, mark_vanished, replace_items
from warehouse.db import writing
from warehouse.digest import RUN_RELATIONS
from warehouse.encode import to_table
from warehouse.replace import (
    delete_rows,
    delete_users_of_kind,
    insert_rows,
    insert_values,
    insert_vectors,
    replace_rows,
)

_VARIANT = ("run_id", "model", "inputs", "mode")
_METRIC = (
    *("run_id", "stage", "source", "split", "preset", "model", "strategy", "inputs", "mode", "seed"),
    *("slice", "field", "metric", "k", "params"),
)
_MATRIX = (*_VARIANT, "split", "field")
_LIST = ("run_id", "query_id", "strategy")


def save_run(path: Path, run: Run) -> None:
    """Insert the run, or replace what is known of it (its status and end, as a rule)."""
    with writing(path) as connection:
        replace_rows(connection, "runs", to_table(connection, "runs", [run]), key=("run_id",))


def clear_run(path: Path, run_id: str) -> None:
    """Remove everything that the run saved, but not the run itself: for an attempt that starts over."""
    with writing(path) as connection:
        for relation in RUN_RELATIONS:
            delete_rows(connection, relation, run_id=run_id)


def save_items(path: Path, source: str, items: Iterable[Item], quarantined: Iterable[Quarantined]) -> None:
    """Replace the whole catalogue of ``source``, its attributes and its quarantine; both are read piece by piece.

    An item that is not among the new ones is gone afterwards. FvrecError on an item of another source, a repeated
    ``item_id``, or attributes outside the schema; nothing is changed then.
    """
    with writing(path) as connection:
        for relation in ("items", "item_attributes", "quarantine"):
            delete_rows(connection, relation, source=source)
        insert_items(connection, source, items)
        insert_quarantine(connection, source, quarantined)


def update_items(
    path: Path,
    source: str,
    items: Iterable[Item],
    quarantined: Iterable[Quarantined],
    *,
    vanished: Sequence[str],
    at: datetime,
    left_out: Sequence[str] = (),
) -> None:
    """Bring the catalogue of ``source`` up to date: write ``items`` (new, changed or back again), mark the others.

    vanished: ids that are gone; left_out: ids that a sample did not draw. All other items stay as
    they are; the quarantine is replaced. FvrecError as for ``save_items``.
    """
    with writing(path) as connection:
        replace_items(connection, source, items)
        mark_vanished(connection, source, vanished, at)
        mark_left_out(connection, source, left_out, at)
        delete_rows(connection, "quarantine", source=source)
        insert_quarantine(connection, source, quarantined)


def save_predictions(path: Path, run_id: str, predictions: Iterable[Prediction]) -> None:
    """Replace the run's predictions of every variant (model, inputs, mode) that occurs in ``predictions``.

    Give a variant whole, in one call. FvrecError when a variant holds an item twice.
    """
    rows = list(predictions)
    with writing(path) as connection:
        table = to_table(connection, "predictions", rows, run_id=run_id)
        delete_rows(connection, "predicted_attributes", like=(table, _VARIANT))
        replace_rows(connection, "predictions", table, key=_VARIANT, unique=(*_VARIANT, "item_id"))
        valid = [row for row in rows if row.schema_valid]
        owners = {name: [getattr(row, name) for row in valid] for name in ("item_id", "model", "inputs", "mode")}
        insert_values(
            connection,
            "predicted_attributes",
            {"run_id": [run_id] * len(valid), **owners},
            values=[row.attributes for row in valid],
            confidence=[row.confidence for row in valid],
        )


def save_metrics(path: Path, run_id: str, metrics: Iterable[Metric]) -> None:
    """Insert the run's numbers; one that it already has (all dimensions alike) is replaced.

    FvrecError when two of ``metrics`` have the same dimensions: neither would be the right one.
    """
    with writing(path) as connection:
        table = to_table(connection, "metrics", list(metrics), run_id=run_id)
        replace_rows(connection, "metrics", table, key=_METRIC, unique=_METRIC)


def save_confusions(path: Path, run_id: str, confusions: Iterable[Confusion]) -> None:
    """Replace each confusion matrix (model, inputs, mode, split, field) that occurs in ``confusions``."""
    with writing(path) as connection:
        table = to_table(connection, "confusions", list(confusions), run_id=run_id)
        replace_rows(connection, "confusions", table, key=_MATRIX, unique=(*_MATRIX, "true_value", "predicted_value"))


def save_curves(path: Path, run_id: str, points: Iterable[CurvePoint]) -> None:
    """Replace each curve (stage, curve, params) that occurs in ``points``: give one params' points at once."""
    with writing(path) as connection:
        table = to_table(connection, "curves", list(points), run_id=run_id)
        replace_rows(connection, "curves", table, key=("run_id", "stage", "curve", "params"))


def save_rankings(path: Path, run_id: str, rankings: Iterable[Ranking]) -> None:
    """Replace each ranked list (query_id, strategy) that occurs in ``rankings``. FvrecError on a repeated position."""
    with writing(path) as connection:
        table = to_table(connection, "rankings", list(rankings), run_id=run_id)
        replace_rows(connection, "rankings", table, key=_LIST, unique=(*_LIST, "position"))


def save_users(
    path: Path, source: str, users: Iterable[User], interactions: Iterable[Interaction] = (), *, kind: str | None = None
) -> None:
    """Replace the users of ``source`` and what they bought. FvrecError on a repeated ``user_id`` or another source.

    kind: replace only the interactions of this kind and the users who have one, so that a shop's customers and the
    users of a simulation lie beside each other; FvrecError when an interaction is of another kind, or a user has none.
    """
    people, purchases = list(users), list(interactions)
    _require_source(source, (*people, *purchases))
    if kind is not None:
        _require_kind(kind, people, purchases)
    with writing(path) as connection:
        if kind is None:
            for relation in ("users", "interactions"):
                delete_rows(connection, relation, source=source)
        else:
            delete_users_of_kind(connection, source, kind)
        insert_rows(connection, "users", to_table(connection, "users", people), unique=("user_id",))
        insert_rows(connection, "interactions", to_table(connection, "interactions", purchases))


def save_embeddings(path: Path, source: str, embeddings: Iterable[Embedding], *, alone: bool = False) -> None:
    """Replace the source's vectors of every model that occurs in ``embeddings``; a generator is read piece by piece.

    alone: its vectors of all other models go, too: items and pictures are compared in one space. FvrecError when an
    item has two vectors under one model, or vectors of one model differ in length or are not finite.
    """
    with writing(path) as connection:
        if alone:
            delete_rows(connection, "embeddings", source=source)
        insert_vectors(connection, source, embeddings)


def _require_source(source: str, records: Iterable[User | Interaction]) -> None:
    for record in records:
        if record.source != source:
            raise FvrecError("a record belongs to another source", found=record.source, allowed=source)


def _require_kind(kind: str, users: Iterable[User], interactions: Iterable[Interaction]) -> None:
    others = {one.kind for one in interactions} - {kind}
    if others:
        raise FvrecError("an interaction is of another kind", found=sorted(others), allowed=kind)
    idle = {user.user_id for user in users} - {one.user_id for one in interactions}
    if idle:
        raise FvrecError("a user has no interaction of this kind", where=kind, found=min(idle))
