"""What a reference picture asks for: its attributes become soft wishes that the user can strike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fvrec.rerank.constraints import Constraint, Constraints
from fvrec.schema import FIELDS, OTHER, UNKNOWN

SURE_ENOUGH = 0.5
"""Least confidence of an attribute that becomes a wish: below it the picture rather does not say so."""


def pictured_wishes(attributes: Mapping[str, str], confidence: Mapping[str, float]) -> tuple[Constraint, ...]:
    """One soft wish for each attribute that was read with confidence ``SURE_ENOUGH``; none where nothing is known."""
    return tuple(
        Constraint(field, frozenset({attributes[field]}), strength="soft", origin="picture")
        for field in FIELDS
        if attributes.get(field, UNKNOWN) not in (UNKNOWN, OTHER) and confidence.get(field, 0.0) >= SURE_ENOUGH
    )


def with_pictured(said: Constraints, pictured: Sequence[Constraint]) -> Constraints:
    """Words go before the picture: it has no say on a field that the text wants, nor for a value that it excludes.

    A later picture's wish replaces an earlier picture's on the same field.
    """
    fields = {one.field for one in pictured}
    kept = [one for one in said.constraints if one.origin == "text" or one.field not in fields]
    wanted = {one.field for one in kept if not one.excluded}
    added = [one for one in pictured if one.field not in wanted and not one.values & _excluded(said, one.field)]
    ordered = sorted([*kept, *added], key=lambda one: (FIELDS.index(one.field), one.excluded))
    return replace(said, constraints=tuple(ordered))


def remembering_origin(now: Constraints, standing: Constraints | None) -> Constraints:
    """``now`` with every wish that came from a picture in the turn before still marked as such.

    The text parser merges wishes by field and value; one that it left as it was is the picture's still.
    """
    pictured = [one for one in standing.constraints if one.origin == "picture"] if standing is not None else []
    marked = tuple(
        next((old for old in pictured if replace(one, origin="picture") == old), one) for one in now.constraints
    )
    return replace(now, constraints=marked)


def _excluded(constraints: Constraints, field: str) -> frozenset[str]:
    return constraints.excluded.get(field, frozenset())
