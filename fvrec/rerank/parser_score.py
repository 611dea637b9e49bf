"""How well requests are read: exact match and per-constraint F1 against expected constraints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fvrec.rerank.constraints import Constraints

Claim = tuple[str, bool, str]
"""(field, excluded, value): what precision and recall count."""


@dataclass(frozen=True)
class Agreement:
    """Counts over one or many requests: claims in both readings, in the parser's, in the expected one."""

    shared: int
    parsed: int
    expected: int

    @property
    def f1(self) -> float:
        """2 * shared / (parsed + expected); 1.0 where both readings claim nothing."""
        claims = self.parsed + self.expected
        return 2 * self.shared / claims if claims else 1.0


def exactly(expected: Constraints, parsed: Constraints) -> bool:
    """Whether both want and exclude the same values, field by field, and as strongly; words and spans do not matter."""
    return _core(expected) == _core(parsed)


def agreement(pairs: Sequence[tuple[Constraints, Constraints]], field: str | None = None) -> Agreement:
    """Claims of (expected, parsed) pairs that agree, over all fields or one. Strength does not count here.

    >>> blue_dress = Constraints.of({"color": ["blue"], "category": ["dress"]})
    >>> agreement([(blue_dress, Constraints.of({"color": ["blue", "red"]}))]).f1  # 2 * 1 / (2 + 2)
    0.5
    """
    shared = parsed = expected = 0
    for wished, read in pairs:
        theirs, ours = _claims(wished, field), _claims(read, field)
        shared += len(theirs & ours)
        parsed += len(ours)
        expected += len(theirs)
    return Agreement(shared, parsed, expected)


def _core(constraints: Constraints) -> set[tuple[str, bool, frozenset[str], str]]:
    return {(c.field, c.excluded, c.values, c.strength) for c in constraints.constraints}


def _claims(constraints: Constraints, field: str | None) -> set[Claim]:
    return {
        (c.field, c.excluded, value)
        for c in constraints.constraints
        for value in c.values
        if field is None or c.field == field
    }
