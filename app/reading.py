"""Reads the attributes of a visitor's picture with one of the trained models."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from app.pictures import decode_upload, square_jpeg
from fvrec.config import Settings
from fvrec.records import Mode, Prediction

if TYPE_CHECKING:
    from fvrec.vlm.extract import Extractor

ADAPTERS = {"base": None, "sft": "sft", "lora": "sft_lora"}
"""Model -> folder of its adapter in ``outputs/adapters``; the base has none."""


class PictureReader:
    """One model, loaded when it is first needed. Safe to share between threads: one picture is read at a time."""

    def __init__(self, settings: Settings, model: str) -> None:
        self._settings = settings
        self._model = model
        self._extractor: Extractor | None = None
        self._lock = Lock()

    @property
    def available(self) -> bool:
        """Whether the model's files are there: a snapshot can be published without them."""
        folders = [self._settings.models / "base", self._settings.models / "tokenizer"]
        adapter = self._adapter()
        return all(folder.is_dir() for folder in [*folders, *([adapter] if adapter else [])])

    def read(self, data: bytes, mode: Mode = "constrained", title: str = "") -> Prediction | None:
        """What the model writes on the picture (and title); None without its files. FvrecError on a bad picture."""
        decode_upload(data)
        if not self.available:
            return None
        with self._lock:
            return self._loaded().extract([data], [title] if title else None, mode=mode)[0].prediction

    def evidence(self, data: bytes, field: str, title: str = "", description: str = "") -> bytes | None:
        """The picture with what the field was read from, as JPEG; None where the model is not available."""
        photo = decode_upload(data)
        if not self.available:
            return None
        from fvrec.vlm.evidence import evidence
        from fvrec.vlm.overlay import overlay

        with self._lock:
            found = evidence(self._loaded(), data, field, title=title, description=description)
        return square_jpeg(overlay(photo, found.map))

    def _loaded(self) -> Extractor:
        from fvrec.vlm.extract import Extractor

        if self._extractor is None:
            self._extractor = Extractor.load(self._adapter() or self._settings.models / "base")
        return self._extractor

    def _adapter(self) -> Path | None:
        folder = ADAPTERS[self._model]
        return None if folder is None else self._settings.adapters / folder
