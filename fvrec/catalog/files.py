"""``items.jsonl``: the plan's item, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fvrec.artifacts import atomic_lines
from fvrec.errors import FvrecError
from fvrec.records import AttributeValue, Item
from fvrec.schema import FIELDS


def write_items(path: Path, items: Iterable[Item]) -> None:
    """One JSON object a line: the plan's item (item_id … attrs), then group, split, hashes, source and origins."""
    atomic_lines(path, (json.dumps(_as_json(item), ensure_ascii=False) for item in items))


def read_items(path: Path) -> list[Item]:
    """The items of a file that ``write_items`` wrote. FvrecError names the line that is not one."""
    if not path.is_file():
        raise FvrecError("the item file is missing", where=path, allowed="a file written by the ingest stage")
    items = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                items.append(_from_json(json.loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise FvrecError("not an item", where=f"{path}:{number}", found=str(error)) from error
    return items


def _as_json(item: Item) -> dict[str, Any]:
    return {
        "item_id": item.item_id,
        "image_path": item.image_path,
        "title": item.title or None,
        "desc": item.description or None,
        "raw": dict(item.raw),
        "attrs": item.values,
        "group_id": item.group_id,
        "split": item.split,
        "image_sha256": item.image_sha256,
        "source": item.source,
        "origins": {field: attribute.origin for field, attribute in item.attributes.items()},
        "group_key": item.group_key,
        "image_phash": item.image_phash,
    }


def _from_json(row: dict[str, Any]) -> Item:
    return Item(
        item_id=row["item_id"],
        source=row["source"],
        group_id=row["group_id"],
        split=row["split"],
        image_path=row["image_path"],
        image_sha256=row["image_sha256"],
        title=row["title"] or "",
        description=row["desc"] or "",
        raw=row["raw"],
        attributes={field: AttributeValue(row["attrs"][field], row["origins"][field]) for field in FIELDS},
        group_key=row.get("group_key", ""),
        image_phash=row.get("image_phash", ""),
    )
