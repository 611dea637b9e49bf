"""The items of a catalogue, made when they are asked for: a sequence that holds no item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import overload

import numpy as np
from numpy.typing import NDArray

from fvrec.catalog.columns import Hashes, Texts
from fvrec.catalog.grouping import Arrangement
from fvrec.catalog.spool import Said, Spool
from fvrec.records import Item


@dataclass(frozen=True)
class Columns:
    """What ingest found out about each item, beside what its source says. ``row``: its number in the spool."""

    row: NDArray[np.int64]
    ids: Texts
    photos: Hashes
    looks: Hashes
    digests: Hashes
    arrangement: Arrangement


class SpooledItems(Sequence[Item]):
    """Items of one source, in its order. Equal to any sequence of equal items."""

    def __init__(self, source: str, spool: Spool, columns: Columns, ingested_at: datetime) -> None:
        self._source, self._spool, self._columns, self._at = source, spool, columns, ingested_at

    def __len__(self) -> int:
        return len(self._columns.row)

    @overload
    def __getitem__(self, place: int) -> Item: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Item, ...]: ...
    def __getitem__(self, place: int | slice) -> Item | tuple[Item, ...]:
        if isinstance(place, slice):
            return tuple(self[at] for at in range(*place.indices(len(self))))
        at = range(len(self))[place]
        return self._item(at, self._spool[int(self._columns.row[at])])

    def __iter__(self) -> Iterator[Item]:
        wanted, at = self._columns.row, 0
        for row, said in enumerate(self._spool):
            if at < len(wanted) and wanted[at] == row:
                yield self._item(at, said)
                at += 1

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def item_ids(self) -> Texts:
        """The ids alone, without reading the items."""
        return self._columns.ids

    def groups(self) -> Iterator[str]:
        """The group of each item, without reading the items."""
        arrangement = self._columns.arrangement
        return (arrangement.group_ids[number] for number in arrangement.group)

    def _item(self, at: int, said: Said) -> Item:
        columns = self._columns
        placement = columns.arrangement[at]
        look = columns.looks[at]
        return Item(
            item_id=said.item_id,
            source=self._source,
            group_id=placement.group_id,
            split=placement.split,
            image_path=said.image_path,
            image_sha256=columns.photos[at].hex(),
            title=said.title,
            description=said.description,
            raw=said.raw,
            attributes=said.attributes,
            ingested_at=self._at,
            group_key=said.group_key,
            image_phash=look.hex() if any(look) else "",
            row_digest=columns.digests[at].hex(),
        )
