"""A shop that a test may change, and pictures that nobody should accept."""

from __future__ import annotations

import shutil
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from fvrec.config import Settings
from tests.demo_shop import save_readings
from warehouse import write
from warehouse.db import publish
from warehouse.read import Warehouse

OTHER_SOURCE = "myntra"


@pytest.fixture
def own_shop(demo_shop: Settings, tmp_path: Path) -> Settings:
    """The same shop in a folder of the test's own."""
    root = tmp_path / "shop"
    shutil.copytree(demo_shop.root, root, symlinks=True)
    return demo_shop.model_copy(update={"root": root})


@pytest.fixture
def two_sources(own_shop: Settings) -> Settings:
    """A second catalogue beside it, which has no picture vectors and has been read by all models."""
    items = Warehouse(own_shop.database).items("embedded", ["train"])[:40]
    others = [replace(item, source=OTHER_SOURCE, item_id=f"other-{item.item_id}", split="test") for item in items]
    write.save_items(own_shop.database, OTHER_SOURCE, others, [])
    save_readings(own_shop.model_copy(update={"source": OTHER_SOURCE}), others, seed=3, run_prefix="other")
    publish(own_shop.database, own_shop.snapshot)
    return own_shop


def png_bytes(width: int, height: int) -> bytes:
    file = BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()
