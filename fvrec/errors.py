"""The one error type that reaches a user: it says what, where, what was found and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable


class FvrecError(Exception):
    """A mistake in the input or the environment that the user can mend. The command line exits with code 2.

    >>> str(FvrecError("unknown preset", found="huge", allowed=["smoke", "tiny"]))
    "unknown preset; found: 'huge'; allowed: smoke, tiny"
    """

    def __init__(
        self,
        what: str,
        *,
        where: object | None = None,
        found: object | None = None,
        allowed: Iterable[object] | str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.found = found
        self.allowed = allowed
        parts = [what]
        if where is not None:
            parts.append(f"where: {where}")
        if found is not None:
            parts.append(f"found: {found!r}")
        if allowed is not None:
            parts.append("allowed: " + (allowed if isinstance(allowed, str) else ", ".join(str(a) for a in allowed)))
        super().__init__("; ".join(parts))


class SanityError(FvrecError):
    """A stage's own check on a sample of what it made failed: the run stops before anything is built on it."""
