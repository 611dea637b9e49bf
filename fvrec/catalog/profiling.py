"""The catalogue in numbers: accounting, splits, and how the values of every field are spread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial

from fvrec.catalog.model import Catalog
from fvrec.imaging import IMAGE_MISSING, IMAGE_TOO_LARGE, IMAGE_UNREADABLE
from fvrec.records import SPLITS, Metric
from fvrec.schema import FIELDS, OTHER, UNKNOWN
from fvrec.sources.base import Source

_IMAGE_REASONS = (IMAGE_MISSING, IMAGE_UNREADABLE, IMAGE_TOO_LARGE)


def profile(catalog: Catalog, source: Source) -> list[Metric]:
    """Every number of ``data_profile.md`` as a Metric with ``stage="ingest"``.

    rows_in, items, quarantined (``slice``: reason, empty for all), readable_share and unreadable_share (of the rows
    that name a photo), duplicate_images (items whose photo another item has already), groups; items per ``split``;
    per field: value_count and value_share (``slice``: value), unknown_share, supervised (1 when the source labels it);
    for category: other_share.
    """
    metric = partial(Metric, stage="ingest", source=source.name)
    return [
        *_accounting(catalog, metric),
        *_splits(catalog, metric),
        *(row for field in FIELDS for row in _field(catalog, field, field in source.supervised_fields, metric)),
    ]


def _accounting(catalog: Catalog, metric: partial[Metric]) -> Iterator[Metric]:
    items, rows_in = catalog.items, catalog.rows_in
    reasons = Counter(rejected.reason for rejected in catalog.quarantined)
    photos = len(items) + sum(reasons[reason] for reason in _IMAGE_REASONS)
    yield metric(metric="rows_in", value=rows_in, n=rows_in)
    yield metric(metric="items", value=len(items), n=rows_in)
    yield metric(metric="quarantined", value=len(catalog.quarantined), n=rows_in)
    for reason, count in sorted(reasons.items()):
        yield metric(metric="quarantined", slice=reason, value=count, n=rows_in)
    yield metric(metric="readable_share", value=len(items) / photos, n=photos)
    yield metric(metric="unreadable_share", value=1 - len(items) / photos, n=photos)
    yield metric(metric="duplicate_images", value=_surplus(item.image_sha256 for item in items), n=len(items))
    yield metric(metric="groups", value=len({item.group_id for item in items}), n=len(items))


def _splits(catalog: Catalog, metric: partial[Metric]) -> Iterator[Metric]:
    counts = Counter(item.split for item in catalog.items)
    for split in SPLITS:
        yield metric(metric="items", split=split, value=counts[split], n=len(catalog.items))


def _field(catalog: Catalog, field: str, supervised: bool, metric: partial[Metric]) -> Iterator[Metric]:
    total = len(catalog.items)
    counts = Counter(item.attributes[field].value for item in catalog.items)
    for value, count in counts.most_common():
        yield metric(metric="value_count", field=field, slice=value, value=count, n=total)
        yield metric(metric="value_share", field=field, slice=value, value=count / total, n=total)
    yield metric(metric="unknown_share", field=field, value=counts[UNKNOWN] / total, n=total)
    yield metric(metric="supervised", field=field, value=float(supervised), n=total)
    if field == "category":
        yield metric(metric="other_share", field=field, value=counts[OTHER] / total, n=total)


def _surplus(hashes: Iterable[str]) -> int:
    return sum(count - 1 for count in Counter(hashes).values())
