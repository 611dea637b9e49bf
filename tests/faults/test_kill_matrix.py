"""Kills in the stages that train nothing, in seconds. All stages: ``python -m tests.faults.kill_matrix``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.kill_matrix import Chain, Reference, blows, summary
from tests.faults.process import Drill, prefect_server

pytestmark = pytest.mark.slow
QUICK = ("ingest", "sft_data", "features", "publish")


def test_a_run_that_is_killed_in_every_quick_stage_ends_as_one_that_is_not(tmp_path: Path) -> None:
    with prefect_server(tmp_path / "prefect") as api:
        drill = Drill(limit=60, api=api, stages=QUICK)
        reference = Reference.make(drill, tmp_path / "reference")
        assert set(QUICK) <= set(reference.changes)
        planned = blows(reference, chain=0, seed=7, stages=QUICK)
        records = list(Chain(drill, reference, tmp_path / "chain").run(planned))
    assert [record["faults"] for record in records] == [[] for _ in records]
    assert summary(records, 7)["kills"] >= 3
