"""The catalogue in numbers: accounting, copies, groups, splits, and how the values of every field are spread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from fvrec.catalog.model import Catalog
from fvrec.imaging import IMAGE_MISSING, IMAGE_TOO_LARGE, IMAGE_UNREADABLE
from fvrec.records import SPLITS, Metric
from fvrec.schema import FIELDS, OTHER, UNKNOWN
from fvrec.sources.base import Source

_IMAGE_REASONS = (IMAGE_MISSING, IMAGE_UNREADABLE, IMAGE_TOO_LARGE)
_SIZES = ((1, 1), (2, 2), (3, 5), (6, 10), (11, 20), (21, 50), (51, None))
"""Classes of group sizes, first and last size of each."""


@dataclass
class _Tally:
    """All that one walk over the items counts."""

    groups: Counter[str] = field(default_factory=Counter)
    photos: Counter[bytes] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    values: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in FIELDS})
    origins: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in FIELDS})

    @classmethod
    def of(cls, catalog: Catalog) -> _Tally:
        tally = cls()
        for item in catalog.items:
            tally.groups[item.group_id] += 1
            tally.photos[bytes.fromhex(item.image_sha256)] += 1
            tally.splits[item.split] += 1
            for name, attribute in item.attributes.items():
                tally.values[name][attribute.value] += 1
                tally.origins[name][attribute.origin] += 1
        return tally


def profile(catalog: Catalog, source: Source) -> list[Metric]:
    """Every number of ``data_profile.md`` as a Metric with ``stage="ingest"``.

    rows_in, items, quarantined (``slice``: reason, empty for all), readable_share and unreadable_share (of the rows
    that name a photo); duplicate_images (items whose photo another item has already), near_copies (items whose photo
    is a near-copy of another's); groups (``slice``: size, empty for all), largest_group; items per ``split``; what is
    new, changed, returned, unchanged or vanished since earlier ingests (``slice`` of ``changes``); not_sampled (known
    items that a limit left out); per field:
    value_count and value_share (``slice``: value), unknown_share, rule_share (values that a rule on the text found),
    supervised (1 when the source labels it); for category: other_share.
    """
    metric, tally = partial(Metric, stage="ingest", source=source.name), _Tally.of(catalog)
    return [
        *_accounting(catalog, metric),
        *_copies(catalog, tally, metric),
        *_changes(catalog, metric),
        *(metric(metric="items", split=one, value=tally.splits[one], n=len(catalog.items)) for one in SPLITS),
        *(row for name in FIELDS for row in _field(tally, name, name in source.supervised_fields, metric)),
    ]


def _accounting(catalog: Catalog, metric: partial[Metric]) -> Iterator[Metric]:
    count, rows_in = len(catalog.items), catalog.rows_in
    reasons = Counter(rejected.reason for rejected in catalog.quarantined)
    photos = count + sum(reasons[reason] for reason in _IMAGE_REASONS)
    yield metric(metric="rows_in", value=rows_in, n=rows_in)
    yield metric(metric="items", value=count, n=rows_in)
    yield metric(metric="quarantined", value=len(catalog.quarantined), n=rows_in)
    for reason, number in sorted(reasons.items()):
        yield metric(metric="quarantined", slice=reason, value=number, n=rows_in)
    yield metric(metric="readable_share", value=count / photos, n=photos)
    yield metric(metric="unreadable_share", value=1 - count / photos, n=photos)


def _copies(catalog: Catalog, tally: _Tally, metric: partial[Metric]) -> Iterator[Metric]:
    count, sizes = len(catalog.items), Counter(tally.groups.values())
    yield metric(metric="duplicate_images", value=count - len(tally.photos), n=count)
    yield metric(metric="near_copies", value=catalog.near_copies, n=count)
    yield metric(metric="groups", value=len(tally.groups), n=count)
    for first, last in _SIZES:
        name = f"size {first}+" if last is None else f"size {first}-{last}" if last > first else f"size {first}"
        number = sum(times for size, times in sizes.items() if first <= size and (last is None or size <= last))
        yield metric(metric="groups", slice=name, value=number, n=count)
    yield metric(metric="largest_group", value=max(sizes), n=count)


def _changes(catalog: Catalog, metric: partial[Metric]) -> Iterator[Metric]:
    found, count = catalog.changes, len(catalog.items)
    for name in ("new", "changed", "returned", "unchanged"):
        yield metric(metric="changes", slice=name, value=getattr(found, name), n=count)
    yield metric(metric="changes", slice="vanished now", value=len(found.vanished), n=count)
    yield metric(metric="vanished", value=len(found.vanished) + found.vanished_before, n=count)
    yield metric(metric="not_sampled", value=len(found.left_out) + found.left_out_before, n=count)


def _field(tally: _Tally, name: str, supervised: bool, metric: partial[Metric]) -> Iterator[Metric]:
    counts, total = tally.values[name], tally.values[name].total()
    for value, count in counts.most_common():
        yield metric(metric="value_count", field=name, slice=value, value=count, n=total)
        yield metric(metric="value_share", field=name, slice=value, value=count / total, n=total)
    yield metric(metric="unknown_share", field=name, value=counts[UNKNOWN] / total, n=total)
    yield metric(metric="rule_share", field=name, value=tally.origins[name]["rule"] / total, n=total)
    yield metric(metric="supervised", field=name, value=float(supervised), n=total)
    if name == "category":
        yield metric(metric="other_share", field=name, value=counts[OTHER] / total, n=total)
