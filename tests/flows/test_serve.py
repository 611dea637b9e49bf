"""Runs that a killed process left as running are closed when a server or a worker starts, and no others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from fvrec.config import Settings

pytestmark = pytest.mark.usefixtures("prefect_home")

HOLDER = """
import sys
from pathlib import Path
from fvrec.config import Settings
from tasks.lock import only_run
with only_run(Settings(root=Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


def leave_a_run(state: str, *, pool: str | None = None, root: Path | str | None = None) -> UUID:
    """A flow run in that state whose process is no more; with ``root``, one that was asked to work there."""
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.client.schemas.objects import State, StateType

    @flow(name="left behind")
    def left(settings: dict[str, str] | None = None) -> None: ...

    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(left)
        if pool is None:
            asked = {} if root is None else {"settings": {"root": str(root)}}
            return client.create_flow_run(left, parameters=asked, state=State(type=StateType[state])).id
        client.create_work_pool(WorkPoolCreate(name=pool, type="process", base_job_template={}))
        deployment = client.create_deployment(flow_id=flow_id, name=pool, work_pool_name=pool)
        run = client.create_flow_run_from_deployment(deployment)
        client.set_flow_run_state(run.id, State[Any](type=StateType[state]), force=True)
        return run.id


def state_of(run: UUID) -> tuple[str, str]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = client.read_flow_run(run).state
    assert found is not None
    return found.type.value, found.message or ""


def test_what_a_killed_process_left_is_closed(tmp_path: Path) -> None:
    from flows.serve import close_abandoned

    close_abandoned(Settings(root=tmp_path))
    left = [leave_a_run(state) for state in ("RUNNING", "PENDING", "CANCELLING")]
    kept = [leave_a_run(state) for state in ("COMPLETED", "FAILED")]
    assert close_abandoned(Settings(root=tmp_path)) == 3
    for run in left:
        assert state_of(run) == ("CRASHED", "its process ended without a word: found at the start of the server")
    assert [state_of(run)[0] for run in kept] == ["COMPLETED", "FAILED"]
    assert close_abandoned(Settings(root=tmp_path)) == 0


def test_nothing_is_closed_while_a_run_is_at_work_in_the_root(tmp_path: Path) -> None:
    from flows.serve import close_abandoned

    run = leave_a_run("RUNNING")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert close_abandoned(Settings(root=tmp_path)) == 0
        assert state_of(run)[0] == "RUNNING"
        holder.communicate("")
    assert close_abandoned(Settings(root=tmp_path)) == 1
    assert state_of(run)[0] == "CRASHED"


def test_a_run_of_another_root_is_left_alone(tmp_path: Path) -> None:
    from flows.serve import close_abandoned

    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    ours, theirs, somewhere = (leave_a_run("RUNNING", root=root) for root in (here, there, "."))
    close_abandoned(Settings(root=here))
    assert [state_of(run)[0] for run in (ours, theirs, somewhere)] == ["CRASHED", "RUNNING", "RUNNING"]


def test_a_worker_closes_what_its_own_pool_left(tmp_path: Path) -> None:
    from flows.serve import close_abandoned

    ours, theirs, local = (
        leave_a_run("RUNNING", pool="ours"),
        leave_a_run("RUNNING", pool="theirs"),
        leave_a_run("RUNNING"),
    )
    assert close_abandoned(Settings(root=tmp_path), pool="ours") == 1
    assert [state_of(run)[0] for run in (ours, theirs, local)] == ["CRASHED", "RUNNING", "RUNNING"]
