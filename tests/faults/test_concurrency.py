"""Four writers and eight readers for some seconds. Ten minutes: ``python -m tests.faults.concurrency``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.concurrency import drill
from warehouse.publish import KEEP

pytestmark = pytest.mark.slow


def test_nothing_is_lost_and_no_reader_is_disturbed(tmp_path: Path) -> None:
    made = drill(tmp_path / "warehouse", 15.0, publish_every=2)
    assert (made["writer_errors"], made["reader_errors"]) == ([], [])
    assert (made["lost_live"], made["lost_published"]) == ([], [])
    assert made["runs_written"] > 0
    assert made["publications"] > 0
    assert made["reads"] > 0
    assert made["snapshots_left"] <= KEEP + 1
