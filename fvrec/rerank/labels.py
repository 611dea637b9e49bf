"""What the source itself says of an item: the only labels that may judge a list."""

from __future__ import annotations

from fvrec.records import Item
from fvrec.schema import UNKNOWN


def source_labels(item: Item) -> dict[str, str]:
    """field -> value, where the source gave it; unknown fields are left out.

    A label that a rule read from the title is no judge here: rankers see the title as well, and would be paid for
    agreeing with a word rather than with the product.
    """
    return {
        name: label.value
        for name, label in item.attributes.items()
        if label.origin == "source" and label.value != UNKNOWN
    }
