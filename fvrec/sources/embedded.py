"""The embedded catalogue: garments drawn on demand, all ten fields true by construction, no download.

``raw_dir`` receives ``images/{id}.jpg``, ``styles.csv`` (id, design, title and the ten fields) and, last,
``embedded.json``, which says from which seed, count and code they were drawn.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from fvrec.artifacts import atomic_write, digest_file, digest_json, digest_tree
from fvrec.errors import FvrecError
from fvrec.parallel import Progress, Sized, map_in_processes
from fvrec.records import AttributeValue, Quarantined
from fvrec.schema import FIELDS, UNKNOWN
from fvrec.sources.base import UNKNOWN_ATTRIBUTE, RawRow
from fvrec.sources.drawing.render import render
from fvrec.sources.embedded_designs import Product, products
from fvrec.sources.table import read_header, read_lines

COLUMNS = ("id", "design", "title", *FIELDS)
_JPEG_QUALITY = 92
_MEANINGS = {"id": "product number; the photo is images/{id}.jpg", "design": "shared by the colours of one design",
             "title": "shop title, English or Chinese"}  # fmt: skip


class EmbeddedSource:
    """Connector that draws its own data into ``raw_dir`` and reuses what it finds there from the same order."""

    name = "embedded"
    supervised_fields = FIELDS

    def __init__(self, raw_dir: Path, *, items: int = 3000, seed: int = 7, workers: int = 2) -> None:
        self.raw_dir = raw_dir
        self.table, self.images, self._mark = raw_dir / "styles.csv", raw_dir / "images", raw_dir / "embedded.json"
        self._items, self._seed, self._workers = items, seed, workers

    def discover(self) -> None:
        """FvrecError when ``raw_dir`` cannot be drawn into: it is a file, or holds pictures of somebody else's."""
        if self.raw_dir.exists() and not self.raw_dir.is_dir():
            raise FvrecError("the raw folder is a file", where=self.raw_dir, allowed="a folder, or nothing yet")
        foreign = [path.name for path in (self.table, self.images) if path.exists() and not self._mark.exists()]
        if foreign:
            raise FvrecError(
                "the raw folder holds files that were not drawn by this source",
                where=self.raw_dir,
                found=", ".join(foreign),
                allowed="an empty folder, or one that it drew",
            )

    def prepare(self, progress: Progress = iter) -> None:
        """Draw the photos and the table, unless the folder has them already, whole and from the same order."""
        self.discover()
        if not self._is_complete():
            self._draw(progress)

    def rows(self) -> Iterator[RawRow | Quarantined]:
        """The drawn products; they are drawn first where ``prepare`` was not called."""
        self.prepare()
        header = read_header(self.table, COLUMNS)
        for line in read_lines(self.table, header, open_ended="title"):
            if line.problem:
                yield Quarantined(self.name, f"{self.table.name}:{line.number + 1}", "bad_row", line.problem)
            else:
                yield self._row(line.values)

    def manifest(self) -> dict[str, Any]:
        """What was drawn, and how to draw it again. FvrecError before it has been."""
        if not self._is_complete():
            raise FvrecError("the embedded catalogue is not drawn yet", where=self.raw_dir, allowed="ingest first")
        return {
            "source": self.name,
            "slug": "embedded",
            "link": "",
            "method": "drawn",
            "license": "Apache-2.0, as this project; drawn by its own code",
            "fields": {name: _MEANINGS.get(name, f"attribute {name}, true by construction") for name in COLUMNS},
            "supervised_fields": list(self.supervised_fields),
            "rows": self._items,
            "rows_used": self._items,
            "images": self._items,
            "seed": self._seed,
            "code": self._order()["code"],
            "files": {self.table.name: digest_file(self.table)},
        }

    def _row(self, values: Mapping[str, str]) -> RawRow:
        return RawRow(
            item_id=values["id"],
            group_key=values["design"],
            image_path=self.images / f"{values['id']}.jpg",
            title=values["title"],
            description="",
            raw=dict(values),
            attributes={
                field: UNKNOWN_ATTRIBUTE if values[field] == UNKNOWN else AttributeValue(values[field], "source")
                for field in FIELDS
            },
        )

    def _order(self) -> dict[str, Any]:
        """What the drawing depends on."""
        return {
            "items": self._items,
            "seed": self._seed,
            "code": digest_json({file.name: digest_file(file) for file in _drawing_files()}),
            "libraries": {"pillow": PIL.__version__, "numpy": np.__version__},
        }

    def _is_complete(self) -> bool:
        try:
            mark = json.loads(self._mark.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        if mark.get("order") != self._order() or not self.table.is_file() or not self.images.is_dir():
            return False
        return digest_file(self.table) == mark.get("table") and digest_tree(self.images) == mark.get("images")

    def _draw(self, progress: Progress) -> None:
        """Draw beside, then swap in; the mark says ``drawing`` until all is in place."""
        wanted = products(self._items, self._seed)
        fresh = self.raw_dir / ".drawing"
        try:
            self.raw_dir.mkdir(parents=True, exist_ok=True)
            atomic_write(self._mark, json.dumps({"order": "drawing"}))
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            pictures = map_in_processes(partial(_draw_one, fresh), wanted, workers=self._workers)
            for _ in progress(Sized(pictures, len(wanted))):
                pass
            shutil.rmtree(self.images, ignore_errors=True)
            fresh.rename(self.images)
        except OSError as error:
            raise FvrecError(f"cannot draw the catalogue: {error.strerror or error}", where=self.raw_dir) from error
        atomic_write(self.table, _as_csv(wanted))
        made = {"order": self._order(), "table": digest_file(self.table), "images": digest_tree(self.images)}
        atomic_write(self._mark, json.dumps(made, indent=2))


def _drawing_files() -> list[Path]:
    here = Path(__file__).parent
    return [*sorted((here / "drawing").glob("*.py")), here / "embedded_designs.py",
            here.parent / "vocab" / "embedded.toml"]  # fmt: skip


def _draw_one(folder: Path, product: Product) -> None:
    picture = render(product.values, np.random.default_rng(product.seed))
    picture.save(folder / f"{product.item_id}.jpg", quality=_JPEG_QUALITY, subsampling=0)


def _as_csv(wanted: list[Product]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for product in wanted:
        writer.writerow({"id": product.item_id, "design": product.design, "title": product.title, **product.values})
    return file.getvalue()
