"""``styles/{id}.json`` of Myntra's full release: article attributes and a description for each product.

A file holds ``{"data": {"articleAttributes": {"Neck": "Round Neck", …}, "productDescriptors": {"description":
{"value": "<p>…</p>"}}, …}}``.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fvrec.records import AttributeValue
from fvrec.schema import UNKNOWN
from fvrec.sources.folder import SAFE_ID, is_inside
from fvrec.sources.raw_values import canonical, unmapped

VOCABULARY = "myntra_styles"
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "material": ("Fabric", "Fabric Type", "Material", "Upper Material", "Shoe Upper Material", "Strap Material"),
    "pattern": ("Pattern", "Print or Pattern Type", "Pattern Type"),
    "fit": ("Fit", "Leg Fit"),
    "sleeve_length": ("Sleeve Length", "Sleeve Styling"),
    "neckline": ("Hood", "Neck", "Collar", "Neck or Collar", "Neckline"),
    "style": ("Occasion",),
}
"""field -> the article attributes that label it, the first that says something wins."""
_LARGEST_BYTES = 4 << 20
_LOOKED_AT = 300
_MARKUP = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)
MEANINGS = {
    "id": "product number; the photo is images/{id}.jpg",
    "gender": "whom it is sold to",
    "masterCategory": "category, widest of three levels",
    "subCategory": "category, second level",
    "articleType": "category, narrowest level",
    "baseColour": "main colour, 46 names",
    "season": "season it was listed for",
    "year": "year it was listed",
    "usage": "occasion it is sold for",
    "productDisplayName": "title on the shop's page",
}


@dataclass(frozen=True)
class Details:
    """What one file says: its article attributes as they stand, the fields that they label, the description."""

    attributes: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, AttributeValue] = field(default_factory=dict)
    description: str = ""


NO_DETAILS = Details()


class StyleFiles:
    """The folder of these files; it need not be there. Nothing outside ``raw_dir`` is read."""

    def __init__(self, folder: Path, raw_dir: Path) -> None:
        self._folder, self._raw_dir = folder, raw_dir

    @cached_property
    def is_there(self) -> bool:
        """Whether there is at least one file."""
        return self._folder.is_dir() and next(self._folder.glob("*.json"), None) is not None

    @cached_property
    def labelled_fields(self) -> tuple[str, ...]:
        """The fields beyond the table's columns that the files label, judged by the first files in order of name."""
        names = sorted(path.stem for path in self._folder.glob("*.json"))[:_LOOKED_AT] if self.is_there else []
        seen = {found for details in self._readable(names) for found in details.labels}
        return tuple(each for each in ATTRIBUTES if each in seen and each != "style")

    @property
    def meanings(self) -> dict[str, str]:
        """What these files add to the manifest's fields."""
        told = {f"articleAttributes.{name}": f"labels {each}" for each, names in ATTRIBUTES.items() for name in names}
        return {**told, "productDescriptors.description": "description on the shop's page"}

    def read(self, item_id: str) -> Details | str:
        """What the product's file says, nothing when it has none; the complaint when it cannot be read."""
        if not self.is_there:
            return NO_DETAILS
        path = self._folder / f"{item_id}.json"
        if not path.exists():
            return NO_DETAILS
        if not is_inside(path, self._raw_dir):
            return "the file is a link out of the raw folder"
        try:
            if path.stat().st_size > _LARGEST_BYTES:
                return f"the file is larger than {_LARGEST_BYTES} bytes"
            data = json.loads(path.read_bytes())["data"]
            return _details(data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            return f"not the JSON of a product: {type(error).__name__}: {str(error)[:120]}"

    def unmapped(self, item_ids: Iterable[str]) -> dict[str, Counter[str]]:
        """Table of the vocabulary -> raw values that it does not name, with their counts."""
        raws: dict[str, Counter[str]] = {each: Counter() for each in ATTRIBUTES}
        for details in self._readable(item_ids):
            for each, names in ATTRIBUTES.items():
                raws[each].update(details.attributes[name] for name in names if details.attributes.get(name))
        return unmapped(VOCABULARY, raws)

    def _readable(self, item_ids: Iterable[str]) -> Iterator[Details]:
        for item_id in item_ids:
            if SAFE_ID.fullmatch(item_id) and not isinstance(details := self.read(item_id), str):
                yield details


def _details(data: Mapping[str, Any]) -> Details:
    attributes = {name: value for name, value in (data.get("articleAttributes") or {}).items() if _says(value)}
    description = ((data.get("productDescriptors") or {}).get("description") or {}).get("value") or ""
    return Details(attributes, _labels(attributes), plain_text(str(description)))


def _says(value: object) -> bool:
    return isinstance(value, str) and value.strip().lower() not in ("", "na", "n/a", "none", "null")


def _labels(attributes: Mapping[str, str]) -> dict[str, AttributeValue]:
    """The fields that the article attributes name; the first telling attribute of each."""
    found: dict[str, AttributeValue] = {}
    for each, names in ATTRIBUTES.items():
        values = (canonical(VOCABULARY, each, attributes[name]) for name in names if name in attributes)
        telling = next((value for value in values if value.value != UNKNOWN), None)
        if telling:
            found[each] = telling
    return found


def plain_text(markup: str) -> str:
    """HTML of a description as one line of text.

    >>> plain_text("<p>Blue &amp; <b>white</b><br/>checks</p>")
    'Blue & white checks'
    """
    return " ".join(html.unescape(_MARKUP.sub(" ", markup)).split())
