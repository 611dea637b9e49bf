"""``fvrec source check``: is every raw value mapped, has every row a picture, is the source fit to be admitted?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from fvrec.catalog.admission import admitted_rows
from fvrec.errors import FvrecError
from fvrec.parallel import Progress
from fvrec.records import Quarantined
from fvrec.schema import FIELDS, OTHER, UNKNOWN
from fvrec.sources.admission import CATEGORY, labels_shortfall
from fvrec.sources.base import Mapped, Source, has_file


@dataclass(frozen=True)
class SourceCheck:
    """What a look at every row found, no picture opened.

    rejected: reason -> rows. pictures: rows whose picture file is there. addresses: rows whose picture is behind a URL
    and not fetched yet. unmapped: field (or table of the vocabulary) -> raw value -> rows. unknown: field -> rows
    without a known value ("other" counts as such for the category). fault: why the source may not be read at all; the
    rows were then not looked at, and what is unmapped is there all the same.
    """

    rows: int
    rejected: Mapping[str, int]
    pictures: int
    addresses: int
    supervised: tuple[str, ...]
    unmapped: Mapping[str, Mapping[str, int]]
    unknown: Mapping[str, int]
    fault: str = ""

    @property
    def admission(self) -> list[str]:
        """What the source lacks to be admitted, as sentences; empty when it may be ingested."""
        if self.fault:
            return [self.fault]
        lacks = []
        if self.pictures + self.addresses == 0:
            lacks.append("no row has a picture")
        read = self.rows - sum(self.rejected.values())
        told = {CATEGORY} if self.unknown[CATEGORY] < read else set()  # a constant tells it without a column
        return [*lacks, *filter(None, [labels_shortfall({*self.supervised, *told})])]

    @property
    def passed(self) -> bool:
        return not self.admission and not any(self.unmapped.values())


def check_source(source: Source, progress: Progress = iter) -> SourceCheck:
    """Look at every row of ``source``; pictures behind URLs are not fetched. FvrecError when it cannot be read."""
    try:
        source.discover()
    except FvrecError as fault:
        return _refused(source, fault)
    rejected: Counter[str] = Counter()
    unknown: Counter[str] = Counter(dict.fromkeys(FIELDS, 0))
    rows = pictures = addresses = 0
    for row in progress(admitted_rows(source)):
        rows += 1
        if isinstance(row, Quarantined):
            unfetched = row.reason == "image_unreachable"
            addresses += unfetched
            rejected.update([] if unfetched else [row.reason])
            continue
        pictures += has_file(row.image_path)
        unknown.update(field for field in FIELDS if row.attributes[field].value in (UNKNOWN, OTHER))
    unmapped = source.unmapped() if isinstance(source, Mapped) else {}
    return SourceCheck(rows, rejected, pictures, addresses, source.supervised_fields, unmapped, unknown)


def _refused(source: Source, fault: FvrecError) -> SourceCheck:
    """What can be said of a source that is not admitted: its unmapped values. The fault itself when not even those."""
    try:
        unmapped = source.unmapped() if isinstance(source, Mapped) else None
    except (FvrecError, OSError):
        unmapped = None
    if not unmapped:
        raise fault
    return SourceCheck(0, {}, 0, 0, source.supervised_fields, unmapped, dict.fromkeys(FIELDS, 0), fault=str(fault))
