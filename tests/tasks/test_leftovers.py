"""A Prefect server whose run was killed is ended by the next run; one that still serves somebody is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fvrec.artifacts import temporary_name
from fvrec.config import FETCHED, Settings
from tasks.leftovers import stop_orphaned_servers, sweep

# In place of the server: a process of that command line and environment that does nothing.
SERVER = "import sys, time; print(sys.argv[0], flush=True); time.sleep(120)"
COMMAND = [sys.executable, "-c", SERVER, "prefect.server.api.server:create_app"]
KILLED_PARENT = f"""
import os, subprocess, sys
print(subprocess.Popen({COMMAND!r}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid, flush=True)
os.kill(os.getpid(), 9)
"""


def _environment(home: Path) -> dict[str, str]:
    return {**os.environ, "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT_HOME": str(home)}


def _orphan(home: Path) -> psutil.Process:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_PARENT], env=_environment(home), capture_output=True, text=True, timeout=60
    )
    return psutil.Process(int(killed.stdout))


def test_the_server_of_a_killed_run_is_ended(tmp_path: Path) -> None:
    mine, elsewhere = _orphan(tmp_path / "mine"), _orphan(tmp_path / "elsewhere")
    with subprocess.Popen(COMMAND, env=_environment(tmp_path / "mine"), stdout=subprocess.PIPE) as served:
        try:
            assert served.stdout is not None
            served.stdout.readline()
            assert stop_orphaned_servers(tmp_path / "mine") == [mine.pid]
            assert _ended(mine)
            assert served.poll() is None
            assert elsewhere.is_running()
        finally:
            served.kill()
            elsewhere.kill()


def test_a_run_under_the_name_of_its_script_keeps_its_server(tmp_path: Path) -> None:
    """As under ``.venv/bin/fvrec``: the kernel then calls the process by the script's name."""
    script = tmp_path / "fvrec"
    script.write_text(f"#!{sys.executable}\nimport subprocess\nsubprocess.run({COMMAND!r})\n")
    script.chmod(0o755)
    with subprocess.Popen([script], env=_environment(tmp_path / "home"), stdout=subprocess.PIPE) as run:
        children: list[psutil.Process] = []
        try:
            assert run.stdout is not None
            run.stdout.readline()
            children = psutil.Process(run.pid).children()
            assert psutil.Process(run.pid).name() == "fvrec"
            assert stop_orphaned_servers(tmp_path / "home") == []
            assert [child.is_running() for child in children] == [True]
        finally:
            for child in children:
                child.kill()
            run.kill()


def test_pictures_fetched_into_a_folder_outside_the_root_are_left_alone(tmp_path: Path) -> None:
    """Another root's run may be writing there, and this root's lock says nothing of it."""
    raw = tmp_path / "shop"
    begun = temporary_name(raw / FETCHED / "ab" / "x")
    mine = tmp_path / "root" / "reports" / begun.name
    for path in (begun, mine):
        path.parent.mkdir(parents=True)
        path.touch()
    assert sweep(Settings(root=tmp_path / "root", source="tabular", raw=raw)) == [mine]
    assert begun.exists()


def _ended(process: psutil.Process) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return pytest.fail("still running")
