"""``fvrec serve`` as a user knows it: a Prefect server comes up, a deployment is triggered, Ctrl-C ends everything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from tests.e2e.processes import call, free_port, listening

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
START_S, RUN_S, STOP_S = 240.0, 240.0, 60.0


@dataclass(frozen=True)
class Served:
    """A running ``fvrec serve``: its process, the address of its API, and what it has said."""

    process: subprocess.Popen[bytes]
    api: str
    page: str
    log: IO[bytes]

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """GET, or POST with a body; the parsed answer."""
        return call(self.api, path, body)

    def wait(self, what: str, seconds: float, ready: Callable[[], Any]) -> Any:
        """The first true value of ``ready``. An API that is not there yet counts as not ready."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if found := ready():
                    return found
            except (URLError, OSError):
                pass
            time.sleep(0.5)
        return pytest.fail(f"no {what} (exit code {self.process.poll()}):\n{self.said()}")

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace")


@contextmanager
def serving(root: Path) -> Iterator[Served]:
    port, page_port = free_port(), free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "FVREC_"))}
    environment |= {"FVREC_QUIET": "1", "PREFECT_RUNNER_POLL_FREQUENCY": "2"}
    options = ["--root", str(root), "--preset", "smoke", "--port", str(port), "--page-port", str(page_port)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fvrec.cli", "serve", *options],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # as `nohup … &` starts it
        )
        try:
            yield Served(process, f"http://127.0.0.1:{port}/api", f"http://127.0.0.1:{page_port}", log)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(STOP_S)


def answers(served: Served) -> bool:
    try:
        return bool(served.call("/health"))
    except (URLError, OSError):
        return False


def test_a_triggered_deployment_runs_and_an_interrupt_ends_everything(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        deployment = served.wait("deployment", START_S, lambda: served.call("/deployments/name/ingest/ingest"))
        # Asked under one key as often as need be: a server busy with its start may answer 503, as it does the UI.
        trigger = {"idempotency_key": "once"}
        place = f"/deployments/{deployment['id']}/create_flow_run"
        run = served.wait("flow run", START_S, lambda: served.call(place, trigger))

        def final_state() -> Any:
            state = served.call(f"/flow_runs/{run['id']}")["state"]
            return state if state["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

        state = served.wait("end of the run", RUN_S, final_state)
        assert state["type"] == "COMPLETED", f"{state}\n{served.said()}"
        assert (tmp_path / "outputs" / "manifests" / "ingest.json").exists()
        assert len((tmp_path / "data" / "processed" / "items.jsonl").read_text().splitlines()) == 240
        with urlopen(f"{served.page}/_stcore/health", timeout=30) as page:
            assert page.read() == b"ok"
        for address in (served.api, served.page):
            assert listening(served.process.pid, int(urlsplit(address).port or 0)) == {"127.0.0.1"}, address
        assert listening(served.process.pid) == {"127.0.0.1"}
        nightly = served.call("/deployments/name/nightly/nightly")
        assert nightly["schedules"][0]["schedule"]["cron"] == "0 3 * * *"
        asked = nightly["parameter_openapi_schema"]["definitions"]["Settings"]["properties"]
        assert "smoke" in asked["preset"]["enum"]
        assert all(one["description"] for one in asked.values())
        due = {
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
            "deployments": {"name": {"any_": ["nightly"]}},
        }
        assert served.wait("scheduled night", START_S, lambda: served.call("/flow_runs/filter", due))
        artifacts = served.call("/artifacts/filter", {})
        assert {"ingest-summary", "ingest-metrics"} <= {one["key"] for one in artifacts}
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(STOP_S) in (0, 130), served.said()
        assert not answers(served), "the Prefect server outlived the command that started it"
        assert "Traceback" not in served.said(), served.said()
