"""An extractor as the HTTP service wants it: a function of images and titles, and a word on what it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from app.api import ModelInfo
from app.batching import Read
from fvrec.vlm.bundle import locate
from fvrec.vlm.calibrate import Calibration, weights_digest
from fvrec.vlm.decoding_types import Reading
from fvrec.vlm.extract import Extractor


def reader(extractor: Extractor) -> Read:
    """Reads constrained. It is tried once at once, so that no first visitor waits for what is made when first used."""

    def read(images: Sequence[Image.Image], titles: Sequence[str]) -> Sequence[Reading]:
        return extractor.extract(list(images), list(titles))

    read([Image.new("RGB", (8, 8), "white")], [""])
    return read


def model_info(extractor: Extractor, folder: Path) -> ModelInfo:
    """What answers. FvrecError when the folder is no model's."""
    files = locate(folder)
    calibration = extractor.calibration if isinstance(extractor.calibration, Calibration) else None
    return ModelInfo(
        name=extractor.name,
        weights_sha256=weights_digest(files.adapter or files.base),
        calibrated=sorted(calibration.variants) if calibration else [],
        abstains=calibration is not None and calibration.abstain,
    )
