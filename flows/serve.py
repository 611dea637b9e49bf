"""Deployments of every flow, served from one process: trigger them from the Prefect UI or on a schedule."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from urllib.error import URLError
from urllib.request import urlopen

from prefect import serve
from prefect.deployments.runner import RunnerDeployment
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.pipeline import STEPS, pipeline
from fvrec.config import Settings
from fvrec.errors import FvrecError

FLOWS = (pipeline, *STEPS)
START_SECONDS = 300
STOP_SECONDS = 30


def serve_flows(settings: Settings, *, port: int = 4200) -> None:
    """Start a Prefect server with its UI on the loopback interface and serve every flow until interrupted.

    FvrecError when the port is taken or the server does not come up.
    """
    require_free(port)
    url = f"http://127.0.0.1:{port}/api"
    with _server(port, url), temporary_settings({PREFECT_API_URL: url}):
        # A triggered run may start in another folder: it needs to know where this one's root is.
        defaults = {"settings": settings.model_copy(update={"root": settings.root.resolve()}).model_dump(mode="json")}
        made = [flow.to_deployment(name=flow.name, parameters=defaults) for flow in FLOWS]
        serve(*cast(list[RunnerDeployment], made), pause_on_shutdown=False)


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
