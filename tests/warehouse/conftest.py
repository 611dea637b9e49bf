"""Small true records and a warehouse on disk; every test gets its own files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fvrec.records import AttributeValue, Item, Prediction, Run
from fvrec.schema import FIELDS, UNKNOWN

STARTED = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """Path of a live database that is not there yet."""
    return tmp_path / "warehouse" / "live.duckdb"


@pytest.fixture
def snapshot(live: Path) -> Path:
    return live.parent / "current.duckdb"


@pytest.fixture
def make_item() -> Callable[..., Item]:
    def make(item_id: str, *, source: str = "shop", split: str = "test", **values: str) -> Item:
        known = {"category": "dress", "color": "blue", **values}
        attributes = {
            field: AttributeValue(known[field], "source") if field in known else AttributeValue(UNKNOWN, "unknown")
            for field in FIELDS
        }
        return Item(
            item_id=item_id,
            source=source,
            group_id=f"group of {item_id}",
            split=split,  # type: ignore[arg-type]
            image_path=f"data/images/{item_id}.png",
            image_sha256="ab" * 32,
            title=f"Blue dress 蓝色连衣裙 'é\" {item_id}",
            description="",
            raw={"price": 12.5, "标签": ["新"], "nested": {"a": None}},
            attributes=attributes,
        )

    return make


@pytest.fixture
def make_prediction() -> Callable[..., Prediction]:
    def make(item_id: str, *, valid: bool = True, confidence: float = 0.8, **changes: Any) -> Prediction:
        base: dict[str, Any] = {"model": "lora", "inputs": "image", "mode": "raw"}
        values = {"category": "dress", "color": "blue"} | {
            field: changes.pop(field) for field in FIELDS if field in changes
        }
        base.update(changes)
        if not valid:
            return Prediction(item_id, **base, raw_output="{", json_valid=False, schema_valid=False, error="not JSON")
        attributes = {field: values.get(field, UNKNOWN) for field in FIELDS}
        confidences = dict.fromkeys(FIELDS, confidence)
        return Prediction(
            item_id,
            **base,
            raw_output="{…}",
            json_valid=True,
            schema_valid=True,
            attributes=attributes,
            confidence=confidences,
        )

    return make


@pytest.fixture
def make_run() -> Callable[..., Run]:
    def make(run_id: str, *, hour: int = 9, **changes: Any) -> Run:
        known: dict[str, Any] = {
            "flow": "extraction",
            "stage": "extract",
            "preset": "tiny",
            "source": "shop",
            "code_version": "c0de",
            "config": {"seed": 7},
            "started_at": STARTED,
            "finished_at": STARTED.replace(hour=hour),
            "status": "complete",
        }
        return Run(run_id, **{**known, **changes})

    return make
