"""The nightly flow, for real: products come in after the training, are read by the served model, and are published."""

from __future__ import annotations

from pathlib import Path

import pytest

from fvrec.config import Settings
from warehouse.read import Warehouse

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_home")]

HELD_OUT = ("val", "test")
SERVED = {"model": "lora", "inputs": "image_title", "mode": "constrained"}


def held_out(warehouse: Warehouse) -> set[str]:
    return {item.item_id for item in warehouse.items("embedded", HELD_OUT)}


def test_what_came_in_by_day_is_read_by_night(tmp_path: Path) -> None:
    from flows.extraction import extraction
    from flows.ingest import ingest
    from flows.nightly import nightly
    from flows.sft import sft

    tonight = Settings(root=tmp_path, source="embedded", preset="smoke")
    # Trained on a sample: the rest of the catalogue is what comes in later.
    before = tonight.model_copy(update={"limit": 228})
    for flow in (ingest, sft, extraction):
        flow(before)
    live = Warehouse(tonight.database)
    known = held_out(live)

    results = {one.stage: one for one in nightly(tonight)}
    assert list(results) == ["ingest", "extract_new", "publish"]
    assert not any(one.reused for one in results.values())
    present = held_out(live)
    new = present - known
    assert new
    counts = {row.metric: row.value for row in live.metrics(run_id=results["extract_new"].run_id)}
    assert counts == {"new_items": len(new), "carried_items": len(present & known)}

    # The published snapshot: the newest run of the served model holds an answer for every product that it may show.
    snapshot = Warehouse(tonight.snapshot)
    answers = {one.item_id: one for one in snapshot.predictions(results["extract_new"].run_id, **SERVED)}
    assert set(answers) == present
    assert all(answers[item].schema_valid and answers[item].confidence for item in new)
    scored = live.latest_run("extract_lora", "embedded", "smoke")
    assert scored is not None
    first = {one.item_id: one for one in snapshot.predictions(scored.run_id, **SERVED)}
    assert {item: answers[item] for item in known & present} == {item: first[item] for item in known & present}
    shown = snapshot.candidates("embedded", **SERVED, splits=HELD_OUT)
    assert set(shown.item_ids) == present

    # Nothing is new the second night, and nothing is done again.
    assert [one.stage for one in nightly(tonight) if one.reused] == ["ingest", "extract_new", "publish"]
