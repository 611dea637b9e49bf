"""What a dataset has to offer: one Protocol, and the row that every connector yields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from fvrec.parallel import Progress
from fvrec.records import AttributeValue, Quarantined
from fvrec.schema import FIELDS, UNKNOWN

UNKNOWN_ATTRIBUTE = AttributeValue(UNKNOWN, "unknown")


@dataclass(frozen=True)
class RawRow:
    """One product as its source tells it, in canonical values, its image not yet looked at.

    group_key: names the design, so that its colour variants and re-listings stay in one split.
    raw: the source's own columns, untouched. attributes: all ten fields.
    """

    item_id: str
    group_key: str
    image_path: Path
    title: str
    description: str
    raw: Mapping[str, Any]
    attributes: Mapping[str, AttributeValue]


class Source(Protocol):
    """A dataset on disk (or drawn onto it)."""

    name: str
    raw_dir: Path

    @property
    def supervised_fields(self) -> tuple[str, ...]:
        """The fields that the source truly labels; only these are scored."""
        ...

    def discover(self) -> None:
        """FvrecError unless files and columns are there. Nothing is written."""
        ...

    def prepare(self, progress: Progress = iter) -> None:
        """Make the raw files where the source makes them itself; nothing to do for data that the user brought."""
        ...

    def rows(self) -> Iterator[RawRow | Quarantined]:
        """Every row of the source, in a fixed order: readable ones as RawRow, the others with the reason."""
        ...

    def manifest(self) -> dict[str, Any]:
        """Origin, licence, fields with meaning, row counts and file digests, for ``kaggle_manifest.json``."""
        ...


@runtime_checkable
class Digested(Protocol):
    """A source that knows which files of its raw folder the user brought (it puts others there itself)."""

    def input_digest(self) -> str:
        """Changes when, and only when, what the user brought changes."""
        ...


@runtime_checkable
class Mapped(Protocol):
    """A source whose raw values are mapped to canonical ones."""

    def unmapped(self) -> Mapping[str, Mapping[str, int]]:
        """field -> raw values that are neither mapped nor named as other or unknown on purpose, with their counts."""
        ...


def complete(known: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    """All ten fields in schema order; those that the source is silent about are ``unknown``."""
    return {field: known.get(field, UNKNOWN_ATTRIBUTE) for field in FIELDS}


@dataclass(frozen=True)
class Purchase:
    """One article that one customer bought, as the source tells it; the article need not be a product of the source."""

    user_id: str
    item_id: str
    at: datetime


@runtime_checkable
class PurchaseSource(Protocol):
    """A source that also knows who bought what."""

    def purchases(self) -> Iterator[Purchase | Quarantined]:
        """Every row of its purchases, in the order of its table: readable ones as Purchase, others with the reason."""
        ...


def has_file(path: Path) -> bool:
    """Whether there is a file; a name that no file can have (too long, with a NUL) names none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
