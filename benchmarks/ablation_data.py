"""Which products an ablation trains on and is judged by."""

from __future__ import annotations

import hashlib
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path

from fvrec.catalog.files import read_items
from fvrec.errors import FvrecError
from fvrec.records import Item, Split

FREQUENT_TYPES = 20


@dataclass(frozen=True)
class Split3:
    """The three parts of a catalogue, and how many products of another one were added to train."""

    train: tuple[Item, ...]
    val: tuple[Item, ...]
    test: tuple[Item, ...]
    added: int = 0

    @property
    def digest(self) -> str:
        """SHA-256 over the ids of the three parts: which split a number belongs to."""
        text = "|".join(
            ",".join(sorted(f"{i.source}/{i.item_id}" for i in part)) for part in (self.train, self.val, self.test)
        )
        return hashlib.sha256(text.encode()).hexdigest()


def read_split(items: Path, extra: Path | None = None, *, years: bool = False) -> Split3:
    """``items.jsonl`` -> its split by group, or with ``years`` that of the public protocol; ``extra`` joins train."""
    main = read_items(items)
    parts = _by_years(main) if years else _by_group(main)
    if extra is None:
        return parts
    more = [item for item in read_items(extra) if not years or _even(item)]
    if years:
        wanted = {item.raw["articleType"] for item in main if item.raw["articleType"] in _frequent_types(main)}
        more = [item for item in more if item.raw["articleType"] in wanted]
    added = without_relatives(more, main, [*parts.val, *parts.test])
    return replace(parts, train=(*parts.train, *added), added=len(added))


def without_relatives(more: Sequence[Item], main: Sequence[Item], held: Sequence[Item]) -> list[Item]:
    """The items of ``more`` that are none of ``main`` and no relative of a held-out one.

    A relative: the group that it has in its own catalogue holds a held-out id, or it bears a held-out item's design
    or photo. Catalogues of one shop share ids, so the groups of the larger one see near-copies that the ids hide.
    """
    known, held_ids = {item.item_id for item in main}, {item.item_id for item in held}
    groups = {item.group_id for item in more if item.item_id in held_ids}
    keys = {item.group_key for item in held if item.group_key}
    photos = {photo for item in held for photo in (item.image_sha256, item.image_phash) if photo}
    return [
        item
        for item in more
        if item.item_id not in known
        and item.group_id not in groups
        and item.group_key not in keys
        and not {item.image_sha256, item.image_phash} & photos
    ]


def subcategory_of(category: str) -> str | None:
    """The source's subCategory that a category stands for; None where the committed map has none."""
    return _subcategories().get(category)


@cache
def _subcategories() -> Mapping[str, str]:
    text = resources.files("fvrec.vocab").joinpath("myntra_subcategories.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text)["subcategory"])


def _by_group(items: Sequence[Item]) -> Split3:
    def part(split: Split) -> tuple[Item, ...]:
        return tuple(item for item in items if item.split == split)

    return Split3(part("train"), part("val"), part("test"))


def _by_years(items: Sequence[Item]) -> Split3:
    """The 20 most frequent articleTypes: odd years are tested on; even years, less relatives of those, trained on."""
    types = _frequent_types(items)
    meanings = {
        (item.raw["articleType"], item.values["category"]) for item in items if item.raw["articleType"] in types
    }
    if len(meanings) != FREQUENT_TYPES or len({category for _, category in meanings}) != FREQUENT_TYPES:
        raise FvrecError("the frequent article types are no categories of their own", found=sorted(meanings))
    chosen = [item for item in items if item.raw["articleType"] in types]
    test = [replace(item, split="test") for item in chosen if not _even(item)]
    taken = {item.group_id for item in test}
    rest = [item for item in chosen if _even(item) and item.group_id not in taken]
    val = [replace(item, split="val") for item in rest if _tenth(item.group_id)]
    train = [replace(item, split="train") for item in rest if not _tenth(item.group_id)]
    return Split3(tuple(train), tuple(val), tuple(test))


def _frequent_types(items: Sequence[Item]) -> frozenset[str]:
    return frozenset(name for name, _ in Counter(item.raw["articleType"] for item in items).most_common(FREQUENT_TYPES))


def _even(item: Item) -> bool:
    return int(float(item.raw["year"] or 1)) % 2 == 0


def _tenth(group_id: str) -> bool:
    return hashlib.sha256(f"val/{group_id}".encode()).digest()[0] < 26
