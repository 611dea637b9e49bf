"""Several processes take turns at a live database."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fvrec.errors import FvrecError
from warehouse.db import writing

HOLDER = """
import sys, time
from pathlib import Path
from warehouse.turns import turn
with turn(Path(sys.argv[1]), exclusive=True, wait_s=5):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(path: Path, seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_writer_waits_for_its_turn_and_no_longer_than_it_was_told(tmp_path: Path) -> None:
    path = tmp_path / "live.duckdb"
    with holder(path, 60) as other:
        with pytest.raises(FvrecError, match="another process still holds"), writing(path, wait_s=0.3):
            pass
        other.kill()
    with writing(path, wait_s=5) as connection:  # the kernel gave the turn up
        connection.execute("create table t as select 1 as a")


def test_a_turn_that_ends_in_time_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "live.duckdb"
    with holder(path, 1), writing(path, wait_s=20) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_writer_that_cannot_take_a_turn_does_not_write(tmp_path: Path) -> None:
    path = tmp_path / "live.duckdb"
    (tmp_path / ".live.duckdb.turn").mkdir()
    with pytest.raises(FvrecError, match="cannot take a turn"), writing(path):
        pass
    assert not path.exists()
