"""The task runner that a flow's shards are submitted to: threads of this process, or Ray's workers by prefect-ray."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext, SettingsContext, get_settings_context
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_SERVER_API_AUTH_STRING,
    PREFECT_SERVER_DATABASE_CONNECTION_URL,
    PREFECT_SERVER_DATABASE_PASSWORD,
    PREFECT_SERVER_DOCKET_URL,
    Profile,
)
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from fvrec.config import Settings
from fvrec.errors import FvrecError
from tasks.check import CLUSTER, RAY, require_runner
from tasks.shards import LOCAL

ATTEMPTS = 3
_OF_SERVERS = (
    PREFECT_SERVER_API_AUTH_STRING,
    PREFECT_SERVER_DATABASE_CONNECTION_URL,
    PREFECT_SERVER_DATABASE_PASSWORD,
    PREFECT_SERVER_DOCKET_URL,
)
"""Settings that may hold secrets and that only Prefect's server reads."""


@contextmanager
def shards_on(settings: Settings) -> Iterator[None]:
    """Within a flow: tasks submitted in the block go to the runner that the settings name.

    A flow's task runner belongs to the flow, and is here a matter of each run's settings. FvrecError when the runner
    cannot be reached.
    """
    flow_run = FlowRunContext.get()
    if settings.runner == LOCAL or flow_run is None:
        yield
        return
    require_runner(settings.runner)
    with ExitStack() as held:
        if settings.runner.startswith(RAY):
            _require_no_other_cluster(settings.runner)
            held.enter_context(_settings_for_workers(_api_for_workers(settings.runner)))
        chosen = _started(settings.runner, held)
        held.enter_context(flow_run.model_copy(update={"task_runner": chosen}))
        yield


def _task_runner(runner: str) -> TaskRunner[Any]:
    if not runner.startswith(RAY):
        return ThreadPoolTaskRunner(max_workers=os.cpu_count() or 1)
    # Ray asks the network where usage statistics go, and starts a web server, unless it is told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    from prefect_ray import RayTaskRunner

    if runner != RAY:
        return RayTaskRunner(address=runner, init_kwargs={"log_to_driver": False})
    # Its workers do what this run waits for; Ray would give them the machine's last turns (niceness 15).
    os.environ.setdefault("RAY_worker_niceness", "0")
    # "local", as Ray otherwise joins a cluster of somebody's that runs on this machine.
    return RayTaskRunner(address="local", init_kwargs={"include_dashboard": False, "log_to_driver": False})


def _require_no_other_cluster(runner: str) -> None:
    named = os.environ.get("RAY_ADDRESS")
    if runner == RAY and named:
        raise FvrecError(
            "the runner ray starts a Ray of its own, and RAY_ADDRESS names another",
            where="RAY_ADDRESS",
            found=named,
            allowed=f"no such variable, or --runner ray://HOST:PORT with {CLUSTER}",
        )


def _started(runner: str, held: ExitStack) -> TaskRunner[Any]:
    """A busy head node sometimes fails to start a client's server, and does so when it is asked again."""
    asking = Retrying(
        stop=stop_after_attempt(ATTEMPTS), retry=retry_if_exception_type(ConnectionAbortedError), reraise=True
    )
    try:
        return asking(lambda: held.enter_context(_task_runner(runner)))
    except (ConnectionError, RuntimeError, OSError, ValueError) as error:
        said = next(iter(str(error).strip().splitlines()), "")
        raise FvrecError("Ray cannot be used", where="--runner", found=f"{type(error).__name__}: {said}") from error


def _api_for_workers(runner: str) -> str:
    """Where workers report: without it each would start a Prefect server of its own, and wait for it in vain.

    FvrecError when that is this machine's loopback interface and the workers are elsewhere.
    """
    with get_client(sync_client=True) as client:
        url = str(client.api_url).rstrip("/")
    if runner != RAY and _is_loopback(url) and not _is_loopback(runner):
        raise FvrecError(
            "workers on other machines cannot reach this run's Prefect server",
            where="PREFECT_API_URL",
            found=url,
            allowed="a Prefect server that all of them reach (`docker compose up`, or `prefect server start --host`)",
        )
    return url


def _settings_for_workers(api_url: str) -> SettingsContext:
    """Prefect's settings in a block whose tasks go to workers, as prefect-ray sends all of them, secrets in clear.

    What only a server reads is left at its default; the profile repeats it.
    """
    now = get_settings_context()
    kept = {one: value for one, value in now.profile.settings.items() if one not in _OF_SERVERS}
    return SettingsContext(
        profile=Profile(name=now.profile.name, settings=kept, source=now.profile.source),
        settings=now.settings.copy_with_update(updates={PREFECT_API_URL: api_url}, restore_defaults=_OF_SERVERS),
    )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
