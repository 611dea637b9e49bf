"""The process that starts a worker and sees to it that it ends: with stand-ins for Prefect's worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

# Told to stop, it goes on for ever; a run of it, where there is one, for as many seconds.
DEAF = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
seconds = float(sys.argv[1])
if seconds:
    subprocess.run(["sleep", str(seconds)])
    print("run over", flush=True)
time.sleep(600)
"""
OBEDIENT = "import time; time.sleep(600)"
SUPERVISE = (
    "import sys; from flows.worker import supervise; sys.exit(supervise(sys.argv[2:], patience_s=float(sys.argv[1])))"
)


def supervised(*command: str, patience_s: float = 1.0) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, str(patience_s), *command],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with open(children) as file:
            if file.read().strip():
                time.sleep(1)  # the stand-in has set its handlers
                return process
        time.sleep(0.05)
    return pytest.fail("the worker was not started")


def stopped(process: subprocess.Popen[str]) -> tuple[float, str]:
    """Seconds from the signal to the end, and what the worker said. Nothing of it is left."""
    begin = time.monotonic()
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    took = time.monotonic() - begin
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    return took, said


def test_a_worker_that_obeys_ends_at_once() -> None:
    """Long before patience ends, which is long here: with that of a second, a busy machine's 1.4 told nothing."""
    process = supervised(sys.executable, "-c", OBEDIENT, patience_s=20.0)
    assert stopped(process)[0] < 10.0
    assert process.returncode == -signal.SIGTERM % 256


def test_a_worker_that_does_not_end_is_killed() -> None:
    process = supervised(sys.executable, "-c", DEAF, "0")
    took, _ = stopped(process)
    assert took >= 1.0
    assert process.returncode == 0


def test_a_run_that_is_at_work_is_waited_for() -> None:
    process = supervised(sys.executable, "-c", DEAF, "4")
    _, said = stopped(process)
    assert said == "run over\n"
    assert process.returncode == 0
