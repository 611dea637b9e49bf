"""The probe of the embedded catalogue, at a small size: what it reads, what it cannot, and what it tells the shell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.embedded_probe import REACH, main, probe, reached
from fvrec.records import AttributeValue, Item
from fvrec.schema import FIELDS, VALUES
from fvrec.vlm.towers import load_tower

COLOURS = ((220, 20, 20), (20, 180, 20), (20, 20, 220))
TOWER = load_tower("lite0")


def coloured_item(number: int, shown: int) -> Item:
    attributes = {field: AttributeValue(VALUES[field][shown], "source") for field in FIELDS}
    split = "train" if number % 4 else "test"
    name = f"item{number}"
    return Item(name, "toy", name, split, f"{name}.png", name, name, "", {}, attributes)  # type: ignore[arg-type]


def features_of(shown: list[int]) -> np.ndarray:
    """``[B, T, D]`` of flat pictures in slightly differing shades."""
    rng = np.random.default_rng(0)
    shades = [np.array(COLOURS[colour]) + rng.integers(0, 30, 3) for colour in shown]
    pixels = np.stack([np.full((TOWER.image_size, TOWER.image_size, 3), shade, dtype=np.uint8) for shade in shades])
    return TOWER.encode(pixels)


def test_what_the_features_show_is_read_on_held_out_items() -> None:
    shown = [number % 3 for number in range(96)]
    items = [coloured_item(number, colour) for number, colour in enumerate(shown)]
    readings = probe(items, features_of(shown), TOWER.streams[0], seed=1)
    assert {reading.field: reading.n for reading in readings} == dict.fromkeys(FIELDS, 24)
    assert min(reading.accuracy for reading in readings) >= REACH
    assert reached(readings)


def test_what_the_features_do_not_show_is_not_read() -> None:
    shown = [number % 3 for number in range(96)]
    labels = np.random.default_rng(1).permutation(shown)
    items = [coloured_item(number, int(label)) for number, label in enumerate(labels)]
    readings = probe(items, features_of(shown), TOWER.streams[0], seed=1)
    assert max(reading.accuracy for reading in readings) < REACH
    assert not reached(readings)


@pytest.mark.slow
def test_a_catalogue_too_small_to_learn_from_ends_with_status_1(tmp_path: Path) -> None:
    report = tmp_path / "probe.json"
    assert main(["--json", str(report), "--items", "300"]) == 1
    body = json.loads(report.read_text())
    assert body["reached"] is False
    assert [reading["field"] for reading in body["readings"]] == list(FIELDS)
