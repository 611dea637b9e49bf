"""What abstention does to the scores: the same readings, unsure answers turned into ``unknown``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fvrec.evaluation.extraction import evaluate
from fvrec.records import Item, Metric, Prediction

ABSTAINING = "abstaining"
"""Slice of these rows."""
_SHOWN = ("micro_f1", "field_f1", "accuracy")


def abstaining_rows(
    predictions: Sequence[Prediction], truth: Mapping[str, Item], fields: Sequence[str], *, seed: int
) -> list[Metric]:
    """``micro_f1``, and ``field_f1`` and ``accuracy`` per field, of answers that abstain; slice ``abstaining``."""
    rows = evaluate(predictions, truth, fields, seed=seed).metrics
    return [replace(row, slice=ABSTAINING) for row in rows if row.metric in _SHOWN]
