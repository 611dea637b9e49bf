"""Reads the attributes of a visitor's picture with one of the trained models."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING

from app.pictures import decode_upload
from fvrec.artifacts import digest_bytes
from fvrec.config import Settings
from fvrec.records import AttributeValue, Item, Prediction
from fvrec.schema import FIELDS, UNKNOWN

if TYPE_CHECKING:
    from fvrec.vlm.extract import Extractor
    from fvrec.vlm.towers import Tower

ADAPTERS = {"base": None, "sft": "sft", "lora": "sft_lora"}
"""Model -> folder of its adapter in ``outputs/adapters``; the base has none."""


class PictureReader:
    """One model, loaded when it is first needed. Safe to share between threads: one picture is read at a time."""

    def __init__(self, settings: Settings, model: str, tower: Tower) -> None:
        self._settings = settings
        self._model = model
        self._tower = tower
        self._extractor: Extractor | None = None
        self._lock = Lock()

    @property
    def available(self) -> bool:
        """Whether the model's files are there: a snapshot can be published without them."""
        folders = [self._settings.models / "base", self._settings.models / "tokenizer"]
        adapter = self._adapter()
        return all(folder.is_dir() for folder in [*folders, *([adapter] if adapter else [])])

    def read(self, data: bytes) -> Prediction | None:
        """What the model writes on the picture alone; None where it is not available. FvrecError on a bad picture."""
        decode_upload(data)
        if not self.available:
            return None
        from fvrec.vlm.features import FeatureCache
        from fvrec.vlm.samples import extraction_sample

        with self._lock, TemporaryDirectory() as folder:
            item = _item_of(data, Path(folder) / "picture")
            cache = FeatureCache(Path(folder), self._tower)
            cache.ensure({item.image_sha256: Path(item.image_path)})
            return self._loaded().extract([extraction_sample(item, "image")], cache)[0]

    def _loaded(self) -> Extractor:
        from fvrec.vlm.extract import Extractor

        if self._extractor is None:
            self._extractor = Extractor.load(
                self._model,
                base=self._settings.models / "base",
                tokenizer=self._settings.models / "tokenizer",
                adapter=self._adapter(),
                max_length=self._settings.budget.max_length,
            )
        return self._extractor

    def _adapter(self) -> Path | None:
        folder = ADAPTERS[self._model]
        return None if folder is None else self._settings.adapters / folder


def _item_of(data: bytes, path: Path) -> Item:
    """The picture as a product of which nothing is known."""
    path.write_bytes(data)
    nothing = dict.fromkeys(FIELDS, AttributeValue(UNKNOWN, "unknown"))
    return Item("picture", "upload", "picture", "excluded", str(path), digest_bytes(data), "", "", {}, nothing)
