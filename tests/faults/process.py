"""Starting the pipeline in a process group of its own, killing it, and a Prefect server that outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from tests.e2e.test_prefect import free_port

PROJECT = Path(__file__).resolve().parents[2]
_START_S = 900.0


@dataclass(frozen=True)
class Blow:
    """When a run is killed. stage: which one. kind: ``step`` (before its at-th change of a file) or ``clock`` (at
    seconds after it began). alone: the main process only, its children must find out themselves."""

    stage: str
    kind: str
    at: float
    alone: bool = False


@dataclass(frozen=True)
class Drill:
    """What is run: the smoke preset on ``limit`` drawn products (0: all), and the Prefect server that it talks to
    (empty: each process starts its own, as ``fvrec run`` does). stages: these alone, out of those without training."""

    limit: int = 0
    api: str = ""
    stages: tuple[str, ...] = ()
    timeout_s: float = 1800.0

    def run(self, root: Path, **order: Any) -> Ended:
        """One run to its end, however it ends."""
        process = self._start(root, order)
        return self._await(process, root)

    def killed(self, root: Path, blow: Blow, begun: Path) -> Ended:
        """One run that the blow hits; it may end before."""
        begun.unlink(missing_ok=True)
        order: dict[str, Any] = {"stage": blow.stage, "alone": blow.alone, "begun": str(begun)}
        if blow.kind == "step":
            return self.run(root, step=int(blow.at), **order)
        process = self._start(root, order)
        while process.poll() is None and not begun.exists():
            time.sleep(0.002)
        with suppress(subprocess.TimeoutExpired):
            process.wait(blow.at)
        if process.poll() is None:
            with suppress(ProcessLookupError):
                (os.kill if blow.alone else os.killpg)(process.pid, signal.SIGKILL)
        return self._await(process, root)

    def _start(self, root: Path, order: dict[str, Any]) -> subprocess.Popen[bytes]:
        root.mkdir(parents=True, exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "FVREC_"))}
        environment |= {
            "FVREC_QUIET": "1",
            "PYTHONPATH": str(PROJECT),
            "FVREC_FAULT": json.dumps({"root": str(root), "stages": self.stages, **order}),
            "FVREC_ROOT": str(root),
            "OMP_NUM_THREADS": "1",
        }
        if self.api:
            environment["PREFECT_API_URL"] = self.api
        options = ["--preset", "smoke", "--root", str(root), *(["--limit", str(self.limit)] if self.limit else [])]
        with _said(root).open("wb") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.faults.mortal", *options],
                cwd=PROJECT, env=environment, stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def _await(self, process: subprocess.Popen[bytes], root: Path) -> Ended:
        try:
            process.wait(self.timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        return Ended(process.returncode, process.pid, _said(root).read_text(errors="replace"))


@dataclass(frozen=True)
class Ended:
    """Exit code (negative: the signal), the process group's number, and all that was written to the terminal."""

    code: int
    group: int
    said: str

    @property
    def was_killed(self) -> bool:
        return self.code == -signal.SIGKILL


def _said(root: Path) -> Path:
    return root.with_name(f"{root.name}.txt")


@contextmanager
def prefect_server(home: Path) -> Iterator[str]:
    """A Prefect server of one's own on the loopback interface; its API's address."""
    import flows

    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {**flows.PREFECT_DEFAULTS, "PREFECT_HOME": str(home), "PREFECT_UI_ENABLED": "0"}
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        _wait(f"{url}/health", process)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(URLError, OSError), urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    raise RuntimeError(f"no Prefect server (exit code {process.poll()})")
