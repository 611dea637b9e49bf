"""DeepFashion's Category and Attribute Prediction Benchmark, as its authors and Kaggle mirrors carry it.

Liu, Luo, Qiu, Wang, Tang: "DeepFashion: Powering Robust Clothes Recognition and Retrieval with Rich Annotations", CVPR
2016. 289,222 photos, 50 categories, 1,000 attributes of texture, fabric, shape, part and style. The user downloads it;
nothing of it is part of this project.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from fvrec.artifacts import digest_file
from fvrec.parallel import Progress
from fvrec.records import AttributeValue, Quarantined
from fvrec.schema import FIELDS
from fvrec.sources.admission import require_labels, require_pictures
from fvrec.sources.base import RawRow, complete
from fvrec.sources.deepfashion_files import COARSE, FINE, LAYOUT, MISFIT, PHOTOS, Benchmark, Entry
from fvrec.sources.folder import find_base
from fvrec.sources.raw_values import canonical, unmapped
from fvrec.sources.table import sampled
from fvrec.sources.text_rules import load_rules, texts_for

VOCABULARY = "deepfashion"
_ENOUGH = 2_000
"""Lines that are looked at to see whether the lists label anything."""
_MEANINGS = {
    "image_name": "path of the photo; its folder is the product",
    "category": "one of 50 categories",
    "attributes": "what is marked 1 of the attributes (texture, fabric, shape, part, style)",
    "evaluation_status": "the benchmark's own partition; kept, while the split here goes by product",
}


class DeepFashionSource:
    """Connector for a folder that the user has unpacked. ``limit`` takes a seeded sample of its photos."""

    name = "deepfashion"

    def __init__(self, raw_dir: Path, *, seed: int = 7, limit: int | None = None) -> None:
        self.raw_dir = raw_dir
        self._seed, self._limit = seed, limit

    @property
    def supervised_fields(self) -> tuple[str, ...]:
        """The category and every field that attributes are mapped to. Unmarked attributes say nothing."""
        return ("category", *load_rules(VOCABULARY))

    def discover(self) -> None:
        """FvrecError when the folder, one of the lists, the photos or the labels are missing."""
        self._files.require()
        require_pictures(self._images / "img", layout=LAYOUT)
        rows = (row for row in self._rows(list(self._files.entries())[:_ENOUGH]) if isinstance(row, RawRow))
        known = ({field: "" if each.origin == "unknown" else each.value for field, each in row.attributes.items()}
                 for row in rows)  # fmt: skip
        require_labels(self._files.annotations, known)

    def prepare(self, progress: Progress = iter) -> None:
        """Nothing: the user has unpacked the files."""

    def rows(self) -> Iterator[RawRow | Quarantined]:
        """The labelled photos in the order of the lists; a line that does not fit as Quarantined."""
        self.discover()
        yield from self._rows(list(sampled(self._files.entries, limit=self._limit, seed=self._seed)))

    def manifest(self) -> dict[str, Any]:
        """Where the user got the data, what it holds, and the digests of the lists as they lie there."""
        self.discover()
        total = sum(1 for _ in self._files.entries())
        lists = sorted([*self._files.annotations.glob("*.txt"), *(self._files.base / "Eval").glob("*.txt")])
        return {
            "source": self.name,
            "slug": "deepfashion",
            "link": "https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/AttributePrediction.html",
            "method": "by hand",
            "license": "non-commercial research only, no redistribution (the authors' terms)",
            "fields": dict(_MEANINGS),
            "supervised_fields": list(self.supervised_fields),
            "rows": total,
            "rows_used": total if self._limit is None else min(total, self._limit),
            "images": sum(1 for _ in (self._images / "img").rglob("*.jpg")),
            "files": {path.relative_to(self._files.base).as_posix(): digest_file(path) for path in lists},
        }

    def unmapped(self) -> dict[str, Counter[str]]:
        """Table of the vocabulary -> raw values that it does not name. Attributes are matched by words, not by name."""
        return unmapped(VOCABULARY, {"categories": Counter(self._files.categories())})

    @cached_property
    def _files(self) -> Benchmark:
        marks = [f"{folder}/{PHOTOS}" for folder in COARSE] + [f"{FINE}/train.txt"]
        return Benchmark(find_base(self.raw_dir, marks, layout=LAYOUT), self.raw_dir)

    @cached_property
    def _images(self) -> Path:
        """The folder below which the lists' ``img/…`` lie."""
        base = self._files.base
        return next((folder for folder in (base, base / "Img", base / "img") if (folder / "img").is_dir()), base)

    def _rows(self, entries: Sequence[Entry]) -> Iterator[RawRow | Quarantined]:
        categories, attributes = self._files.categories(), self._files.attributes()
        apart = [entry.photo for entry in entries if entry.on is None]
        marked = self._files.attributes_of(set(apart)) if apart else {}
        for entry in entries:
            on = marked.get(entry.photo, ()) if entry.on is None else entry.on
            category = _category(entry, categories)
            problem = entry.problem or (MISFIT if on is None else "") or ("" if category else "no such category")
            if problem:
                yield Quarantined(self.name, entry.where, "bad_row", f"{entry.photo[:80]}: {problem}")
            else:
                yield self._row(entry, category, [attributes[each] for each in on or ()])

    def _row(self, entry: Entry, category: str, attributes: Sequence[str]) -> RawRow | Quarantined:
        path = PurePosixPath(entry.photo)
        if path.is_absolute() or ".." in path.parts or path.parts[:1] != ("img",) or len(path.parts) < 3:
            return Quarantined(self.name, entry.where, "path_outside", f"{entry.photo[:80]!r} is no img/product/photo")
        product = "/".join(path.parts[1:-1])
        return RawRow(
            item_id="__".join([*path.parts[1:-1], path.stem]),
            group_key=product,
            image_path=self._images / path,
            title=" ".join(re.split(r"[_/\s]+", product)),
            description="",
            raw={
                "image_name": entry.photo,
                "category": category,
                "attributes": list(attributes),
                "evaluation_status": entry.partition,
            },
            attributes=labels_of(category, attributes),
        )


def labels_of(category: str, attributes: Sequence[str]) -> dict[str, AttributeValue]:
    """All ten fields, from the name of the category and the names of the attributes that are marked."""
    rules, texts = load_rules(VOCABULARY), texts_for(VOCABULARY, {"attributes": " ; ".join(attributes).lower()})
    kind = canonical(VOCABULARY, "category", category, table="categories")
    known = {field: rules[field].read(texts, kind.value) for field in FIELDS if field in rules}
    return complete({"category": kind, **known})


def _category(entry: Entry, names: Sequence[str]) -> str:
    """The category's name; empty when its number is none."""
    number = int(entry.category) if entry.category.isascii() and entry.category.isdigit() else 0
    return names[number - 1] if 1 <= number <= len(names) else ""
