"""Confidence in the reports: the table's cells are rows, and the plots are functions of rows and photos."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fvrec.records import AttributeValue, CurvePoint, Item, Metric
from fvrec.report_confidence import confidence_tables
from fvrec.report_figures import evidence_sheet, reliability_plot, render_figures
from fvrec.schema import FIELDS, UNKNOWN

VARIANT = {"model": "lora", "inputs": "image"}


def metric(name: str, value: float, kind: str = "", **more: object) -> Metric:
    params = {"confidence": kind} if kind else {}
    mode = "raw" if kind == "verbalised" else "constrained"
    return Metric("extraction", name, value, split="test", mode=mode, params=params, **{**VARIANT, **more})  # type: ignore[arg-type]


ROWS = [
    metric("ece", 0.21, "verbalised", field="color", n=300),
    metric("ece", 0.08, "computed", field="color", n=310),
    metric("ece", 0.024, "scaled", field="color", n=310),
    metric("ece_perfect", 0.02, "scaled", field="color", ci_low=0.0, ci_high=0.041, n=310),
    metric("ece_accepted", 1.0, "scaled", field="color", n=310),
    metric("brier", 0.09, "verbalised", field="color", n=300),
    metric("brier", 0.06, "scaled", field="color", n=310),
    metric("accuracy_at_coverage", 0.97, "scaled", field="color", slice="coverage=0.8", n=250),
    metric("accuracy_at_coverage", 0.93, "scaled", field="color", slice="coverage=0.9", n=280),
    metric("temperature", 1.42, field="color", n=290),
    metric("ece", 0.033, "scaled", field="", n=900),
]


def test_a_line_a_field_with_written_and_scaled_side_by_side() -> None:
    (table,) = confidence_tables(ROWS).values()
    color, everything = table.rows
    assert color == [
        "color",
        "310",
        "1.420",
        "0.210",
        "0.080",
        "0.024",
        "0.041",
        "yes",
        "0.090",
        "0.060",
        "0.970",
        "0.930",
    ]
    assert everything[:2] == ["(all)", "900"]
    assert list(confidence_tables(ROWS)) == ["lora, image"]


def test_a_model_that_only_writes_its_confidence_is_judged_on_that() -> None:
    (table,) = confidence_tables([row for row in ROWS if row.params.get("confidence") == "verbalised"]).values()
    assert table.rows[0][1:6] == ["300", "–", "0.210", "–", "–"]
    assert confidence_tables([]) == {}


def item(folder: Path, name: str) -> Item:
    path = folder / f"{name}.png"
    Image.new("RGB", (50, 80), (30, 60, 200)).save(path)
    attributes = {field: AttributeValue(UNKNOWN, "unknown") for field in FIELDS}
    attributes["color"] = AttributeValue("blue", "source")
    return Item(name, "toy", name, "test", str(path), "", "", "", {}, attributes)


def curves() -> list[CurvePoint]:
    shared = {**VARIANT, "mode": "constrained", "split": "test"}
    points = [
        CurvePoint(
            "extraction", "reliability", n / 10, n / 12, {**shared, "field": "", "confidence": "scaled", "bin": n}
        )
        for n in range(10)
    ]
    points += [
        CurvePoint("extraction", "risk_coverage", n / 10, n / 50, {**shared, "field": "color", "confidence": "scaled"})
        for n in range(1, 11)
    ]
    points += [
        CurvePoint(
            "extraction",
            "evidence",
            cell,
            float(cell == 3),
            {**shared, "item_id": "a", "field": "color", "value": "red"},
        )
        for cell in range(9)
    ]
    return points


def test_plots_are_pictures_and_twice_the_same(tmp_path: Path) -> None:
    items = {"a": item(tmp_path, "a")}
    made = render_figures(curves(), items, tmp_path)
    assert made == render_figures(list(reversed(curves())), items, tmp_path)
    for data in made.values():
        assert np.asarray(Image.open(BytesIO(data)).convert("L")).std() > 5
    assert reliability_plot(curves()) != reliability_plot([])


def test_a_sheet_without_its_photo_still_shows_the_map(tmp_path: Path) -> None:
    items = {"a": item(tmp_path, "a")}
    with_photo = evidence_sheet(curves(), items, tmp_path)
    Path(items["a"].image_path).unlink()
    without = evidence_sheet(curves(), items, tmp_path)
    assert with_photo != without
    red = np.asarray(Image.open(BytesIO(without)).convert("RGB")).astype(int)
    assert ((red[..., 0] - red[..., 2]) > 60).any()


@pytest.mark.parametrize(
    "rows", [[], [CurvePoint("extraction", "evidence", 0, 1.0, {"item_id": "gone", "field": "color"})]]
)
def test_nothing_measured_is_a_picture_that_says_so(tmp_path: Path, rows: list[CurvePoint]) -> None:
    for data in render_figures(rows, {}, tmp_path).values():
        assert Image.open(BytesIO(data)).size[0] > 100
