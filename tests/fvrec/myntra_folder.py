"""A small folder in the Kaggle layout, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

HEADER = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName"


def write_photo(path: Path, seed: int) -> None:
    """A noisy JPEG of its own, 60 x 80."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (80, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "JPEG")


def write_folder(raw_dir: Path, lines: list[str], *, photos: list[str]) -> Path:
    """``styles.csv`` with these data lines, and one photo for each id in ``photos``."""
    raw_dir.mkdir(parents=True, exist_ok=True)
    (raw_dir / "styles.csv").write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    for seed, item_id in enumerate(photos):
        write_photo(raw_dir / "images" / f"{item_id}.jpg", seed)
    return raw_dir


def line(item_id: str, title: str, *, article: str = "Tshirts", usage: str = "Casual", color: str = "Navy Blue") -> str:
    """One well-formed data line."""
    return f"{item_id},Men,Apparel,Topwear,{article},{color},Fall,2011,{usage},{title}"
