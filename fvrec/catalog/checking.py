"""The ingest stage's own check, on a sample of what it made."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from fvrec.catalog.model import Catalog
from fvrec.errors import SanityError
from fvrec.imaging import inspect_image
from fvrec.records import Item
from fvrec.schema import FIELDS, UNKNOWN, VALUES

SAMPLES = 30
WORTH_COMPARING = 10
LARGEST_GROUP, LARGEST_SHARE = 100, 0.05
"""A group of more products than the first, and of a larger share than the second, holds strangers: on the real sets
the largest has 92 of 37,477."""


def check(catalog: Catalog, *, root: Path, seed: int) -> None:
    """SanityError unless ``SAMPLES`` items decode to the hash they bear, are in the schema, and are not all alike.

    Also when one group has swallowed more than ``LARGEST_SHARE`` of a catalogue that is large enough to tell.
    """
    _check_groups(catalog)
    size = min(SAMPLES, len(catalog.items))
    chosen = np.random.default_rng(seed).choice(len(catalog.items), size=size, replace=False)
    sample = [catalog.items[index] for index in sorted(chosen)]
    for item in sample:
        _check_photo(item, root)
        _check_attributes(item)
    if size >= WORTH_COMPARING:
        _check_variety(sample)


def _check_groups(catalog: Catalog) -> None:
    group_id, size = Counter(catalog.groups()).most_common(1)[0]
    if size > max(LARGEST_GROUP, LARGEST_SHARE * len(catalog.items)):
        raise SanityError(
            "one group holds far too many products: do they share a placeholder photo or name?",
            where=f"group {group_id}",
            found=f"{size} of {len(catalog.items)}",
            allowed=f"{LARGEST_GROUP}, or a share of {LARGEST_SHARE}",
        )


def _check_photo(item: Item, root: Path) -> None:
    found = inspect_image(root / item.image_path)
    if found.reason:
        raise SanityError("a photo does not decode", where=item.image_path, found=f"{found.reason}: {found.detail}")
    if found.sha256 != item.image_sha256:
        raise SanityError("a photo is not the one that was ingested", where=item.image_path, found=found.sha256)


def _check_attributes(item: Item) -> None:
    if tuple(item.attributes) != FIELDS:
        raise SanityError(
            "an item's fields are not the schema's", where=item.item_id, found=list(item.attributes), allowed=FIELDS
        )
    for field, attribute in item.attributes.items():
        if attribute.value not in VALUES[field]:
            raise SanityError(
                f"{field} is out of the schema", where=item.item_id, found=attribute.value, allowed=VALUES[field]
            )
        if (attribute.value == UNKNOWN) != (attribute.origin == "unknown"):
            raise SanityError(f"the origin of {field} belies its value", where=item.item_id, found=attribute)


def _check_variety(sample: list[Item]) -> None:
    if len({item.image_sha256 for item in sample}) == 1:
        raise SanityError("all sampled photos are the same file", where=sample[0].image_path)
    if len({item.values["category"] for item in sample}) == 1 and len({item.values["color"] for item in sample}) == 1:
        raise SanityError("all sampled items have one category and one colour", where=sample[0].item_id)
