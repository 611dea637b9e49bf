"""Deployments of every flow, served from one process: trigger them from the Prefect UI or on a schedule."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.error import URLError
from urllib.request import urlopen

from prefect import serve
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.deployments.runner import RunnerDeployment
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Crashed

from flows.nightly import nightly
from flows.page import page_command, page_environment
from flows.pipeline import STEPS, pipeline
from fvrec.config import Settings
from fvrec.errors import FvrecError
from tasks.lock import only_run

FLOWS = (pipeline, *STEPS, nightly)
NIGHTLY = "0 3 * * *"
"""Every night at three, in the server's time zone (UTC)."""
_UNDER_WAY = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
START_SECONDS = 300
STOP_SECONDS = 30


def serve_flows(settings: Settings, *, port: int = 4200, page_port: int | None = 8501) -> None:
    """Start a Prefect server with its UI on the loopback interface, the page, and serve every flow until interrupted.

    FvrecError when a port is taken or the server does not come up. ``page_port`` None: no page.
    """
    # A shell that starts a program in the background may have it ignore Ctrl-C; this one always ends by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for one in (port, page_port):
        if one is not None:
            require_free(one)
    url = f"http://127.0.0.1:{port}/api"
    root = settings.root.resolve()
    with _server(port, url), _page(root, page_port, url), temporary_settings({PREFECT_API_URL: url}):
        close_abandoned(settings)
        # A triggered run may start in another folder: it needs to know where this one's root is.
        defaults = {"settings": settings.model_copy(update={"root": root}).model_dump(mode="json")}
        # One at a time: a root takes no second run, so others wait for their turn instead of failing.
        serve(*deployments(defaults), pause_on_shutdown=False, limit=1)


def deployments(parameters: dict[str, Any]) -> list[RunnerDeployment]:
    """One of every flow, with its description and tags; ``nightly`` on its schedule."""
    settings = parameters["settings"]
    made = [
        flow.to_deployment(
            name=flow.name,
            parameters=parameters,
            description=flow.description,
            tags=[settings["source"], settings["preset"]],
            cron=NIGHTLY if flow is nightly else None,
        )
        for flow in FLOWS
    ]
    return cast(list[RunnerDeployment], made)


def close_abandoned(settings: Settings, *, pool: str | None = None) -> int:
    """Mark as crashed the runs that a killed process left as running; how many there were.

    None is touched while a run is at work in this root: whoever holds its lock may be one of them. A run that names
    another root is left alone: its own process knows whether it is at work. ``pool``: only runs of this work pool, on a
    server that others use too.
    """
    here = settings.root.resolve()
    try:
        with only_run(settings), get_client(sync_client=True) as client:
            running = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY)))
            pools = None if pool is None else WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
            found = client.read_flow_runs(flow_run_filter=running, work_pool_filter=pools)
            left = [run for run in found if _may_be_of(here, run)]
            for run in left:
                gone: State[Any] = Crashed(message="its process ended without a word: found at the start of the server")
                client.set_flow_run_state(run.id, gone, force=True)
            return len(left)
    except FvrecError:
        return 0


def _may_be_of(root: Path, run: FlowRun) -> bool:
    """Whether a flow run works in this absolute root, by what it was asked.

    A run of a deployment that names no root, or a relative one, works where its worker stands; one that somebody
    started by hand with a relative root works where they stand, which nobody here knows.
    """
    asked = run.parameters.get("settings")
    named = asked.get("root") if isinstance(asked, Mapping) else None
    if not isinstance(named, str):
        return True
    return Path(named).resolve() == root if Path(named).is_absolute() else run.deployment_id is not None


def require_free(port: int) -> None:
    """FvrecError when another program listens on this port of the loopback interface: it would answer for ours."""
    with socket.socket() as probe:
        # As servers do: a connection that was closed a moment ago does not make the port a taken one.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise FvrecError(
                "the port cannot be used", where="--port", found=f"{port}: {error.strerror}", allowed="a free port"
            ) from error


@contextmanager
def _server(port: int, url: str) -> Iterator[None]:
    # The UI asks the port that this variable names; the --port option alone would leave it calling 4200.
    environment = {**os.environ, "PREFECT_SERVER_API_PORT": str(port), "PREFECT_UI_API_URL": url}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    # In a session of its own a Ctrl-C does not reach it: it is stopped below, after those who still talk to it.
    process = subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603 - our own interpreter
    try:
        _wait(url, process)
        yield
    finally:
        _stop(process)


@contextmanager
def _page(root: Path, port: int | None, url: str) -> Iterator[None]:
    if port is None:
        yield
        return
    command, environment = page_command(port, opens_browser=False), page_environment(root, PREFECT_API_URL=url)
    process = subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603 - our own interpreter
    try:
        yield
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(f"{url}/health", timeout=2):  # noqa: S310 - a loopback address
                if process.poll() is None:
                    return
        except (URLError, OSError):
            time.sleep(0.5)
    raise FvrecError("the Prefect server did not come up", where=url, found=process.poll())


if __name__ == "__main__":
    serve_flows(Settings())
