"""The result of an ingest, and the words for what it rejects."""

from __future__ import annotations

from dataclasses import dataclass

from fvrec.errors import FvrecError
from fvrec.records import Item, Quarantined


@dataclass(frozen=True)
class Catalog:
    """What became of ``rows_in`` rows: each is an item or is quarantined with its reason.

    Raises FvrecError when the two do not add up, or an item_id comes twice.
    """

    items: tuple[Item, ...]
    quarantined: tuple[Quarantined, ...]
    rows_in: int

    def __post_init__(self) -> None:
        accounted = len(self.items) + len(self.quarantined)
        if accounted != self.rows_in:
            raise FvrecError("rows were lost or invented", found=f"{self.rows_in} rows in, {accounted} accounted for")
        if len({item.item_id for item in self.items}) != len(self.items):
            raise FvrecError("two items bear the same item_id")
