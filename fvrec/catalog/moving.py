"""Whether another raw folder holds the shop that earlier ingests of the source saw, or another one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fvrec.catalog.model import Catalog
from fvrec.catalog.near import NEAR
from fvrec.errors import FvrecError
from fvrec.records import Item, Placed

FEW = 20


def require_same_shop(catalog: Catalog, history: Mapping[str, Placed], *, before: Path, now: Path) -> None:
    """FvrecError when ``now`` does not hold the products that were ingested from ``before``.

    A folder may move, grow, shrink and get better photos: at least half of the products that could be in both must bear
    the same id and the same group_key, photo or look. A group_key that is the id itself proves nothing. In the very
    same folder products come, go and are photographed anew; it is another shop's when ``FEW`` ids or more are known,
    tell their design, and not one is what it was: these would take the places of those.
    """
    known = {item_id: placed for item_id, placed in history.items() if not placed.vanished}
    common = min(len(known), len(catalog.items))
    fitting = sum(_fits(item, known.get(item.item_id)) for item in catalog.items)
    if before.resolve() == now.resolve():
        telling = sum(item.item_id in known and item.group_key not in ("", item.item_id) for item in catalog.items)
        least = min(telling // FEW, 1)
    else:
        least = -(-common // 2)
    if fitting < least:
        raise FvrecError(
            f"another shop: {now} does not hold the products that were ingested from {before}",
            where=now,
            found=f"{fitting} of {len(catalog.items)} products are among the {len(known)} known ones",
            allowed="the same products in another folder; for another shop, another --root",
        )


def _fits(item: Item, placed: Placed | None) -> bool:
    if placed is None:
        return False
    if item.image_sha256 == placed.image_sha256:
        return True
    if item.group_key == placed.group_key and item.group_key not in ("", item.item_id):
        return True
    return bool(item.image_phash and placed.image_phash) and _distance(item.image_phash, placed.image_phash) <= NEAR


def _distance(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()
