"""The result of an ingest, and what has changed since the one before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fvrec.catalog.items import SpooledItems
from fvrec.errors import FvrecError
from fvrec.records import Item, Quarantined


@dataclass(frozen=True)
class Changes:
    """What this ingest found otherwise than the ones before it. Without any before it, everything is new.

    to_write: which items (numbers in ``Catalog.items``) are new, changed, have come back or were left out before.
    vanished: ids that are newly gone. vanished_before: how many were gone already, and still are. left_out: ids that
    this ingest did not draw (it had a limit) and the one before had. left_out_before: how many neither had.
    """

    to_write: Sequence[int] = ()
    new: int = 0
    changed: int = 0
    returned: int = 0
    unchanged: int = 0
    vanished: tuple[str, ...] = ()
    vanished_before: int = 0
    left_out: tuple[str, ...] = ()
    left_out_before: int = 0


@dataclass(frozen=True)
class Catalog:
    """What became of ``rows_in`` rows: each is an item or is quarantined with its reason.

    near_copies: items whose photo is a near-copy, not a copy, of another's. photos_read: how many files were decoded,
    the others were known. Raises FvrecError when rows and items do not add up, or an item_id comes twice.
    """

    items: Sequence[Item]
    quarantined: tuple[Quarantined, ...]
    rows_in: int
    near_copies: int = 0
    photos_read: int = field(default=0, compare=False)
    changes: Changes = field(default=Changes(), compare=False)

    def __post_init__(self) -> None:
        accounted = len(self.items) + len(self.quarantined)
        if accounted != self.rows_in:
            raise FvrecError("rows were lost or invented", found=f"{self.rows_in} rows in, {accounted} accounted for")
        if len(set(self._ids())) != len(self.items):
            raise FvrecError("two items bear the same item_id")

    def items_to_write(self) -> Iterator[Item]:
        """The items that are new, changed, have come back or were left out, in their order."""
        if len(self.changes.to_write) == len(self.items):
            return iter(self.items)
        return (self.items[at] for at in self.changes.to_write)

    def groups(self) -> Iterator[str]:
        """The group of each item."""
        if isinstance(self.items, SpooledItems):
            return self.items.groups()
        return (item.group_id for item in self.items)

    def _ids(self) -> Iterator[str]:
        if isinstance(self.items, SpooledItems):
            return iter(self.items.item_ids())
        return (item.item_id for item in self.items)
