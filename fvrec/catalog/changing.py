"""What has changed since earlier ingests: which items have to be written, and which are gone."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping

from fvrec.catalog.items import Columns
from fvrec.catalog.model import Changes
from fvrec.records import Placed


def changes_since(history: Mapping[str, Placed], columns: Columns, *, sampled: bool = False) -> Changes:
    """Compare every item with what is known of it: what its source said, its photo, its group and split.

    sampled: not all rows were looked at, so that an item which is not among them is left out, not gone.
    """
    if not history:
        count = len(columns.row)
        return Changes(to_write=range(count), new=count)
    counts: Counter[str] = Counter()
    to_write, present = array("q"), set()
    for at, item_id in enumerate(columns.ids):
        before = history.get(item_id)
        verdict = _verdict(before, columns, at)
        present.add(item_id)
        counts[verdict] += 1
        if verdict != "unchanged" or (before is not None and before.left_out):
            to_write.append(at)
    absent = {item_id: placed for item_id, placed in history.items() if item_id not in present}
    newly = [item_id for item_id, placed in absent.items() if not (placed.vanished or (sampled and placed.left_out))]
    vanished_before = sum(placed.vanished for placed in absent.values())
    return Changes(
        to_write=to_write,
        new=counts["new"],
        changed=counts["changed"],
        returned=counts["returned"],
        unchanged=counts["unchanged"],
        vanished=() if sampled else tuple(newly),
        vanished_before=vanished_before,
        left_out=tuple(newly) if sampled else (),
        left_out_before=len(absent) - len(newly) - vanished_before,
    )


def _verdict(before: Placed | None, columns: Columns, at: int) -> str:
    if before is None:
        return "new"
    if before.vanished:
        return "returned"
    placement, look = columns.arrangement[at], columns.looks[at]
    same = (
        before.row_digest == columns.digests[at].hex()
        and before.image_sha256 == columns.photos[at].hex()
        and before.image_phash == (look.hex() if any(look) else "")
        and (before.group_id, before.split) == (placement.group_id, placement.split)
    )
    return "unchanged" if same else "changed"
