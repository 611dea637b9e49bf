"""What a runner is not trusted with: hosts that a form names, and secrets that workers do not need."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fvrec.config import Settings
from fvrec.errors import FvrecError
from tasks.check import check_settings

SECRET = "s3cr3t-5f0c1e"


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Somebody who listens where a cluster's client port would be; Ray counts as installed."""
    monkeypatch.setattr("tasks.check.find_spec", lambda name: object())
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def runner_at(server: socket.socket) -> str:
    return f"ray://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("allowed", [None, "", "ray://head:10001"])
def test_only_the_cluster_of_the_environment_is_called(
    allowed: str | None, listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if allowed is None:
        monkeypatch.delenv("FVREC_RAY_CLUSTER", raising=False)
    else:
        monkeypatch.setenv("FVREC_RAY_CLUSTER", allowed)
    with pytest.raises(FvrecError, match=r"may not use this Ray cluster; .*environment variable FVREC_RAY_CLUSTER"):
        check_settings(Settings(root=tmp_path, runner=runner_at(listener)))
    with pytest.raises(BlockingIOError):
        listener.accept()
    monkeypatch.setenv("FVREC_RAY_CLUSTER", runner_at(listener))
    check_settings(Settings(root=tmp_path, preset="smoke", runner=runner_at(listener)))
    listener.accept()[0].close()


def test_workers_get_no_secret_of_the_server(
    listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flow run is a bare context, as a true one takes a Prefect server."""
    import prefect.settings as known
    from prefect.context import FlowRunContext, SettingsContext, get_settings_context, serialize_context
    from prefect.results import ResultStore
    from prefect.task_runners import ThreadPoolTaskRunner

    from flows.runner import shards_on

    monkeypatch.setenv("FVREC_RAY_CLUSTER", runner_at(listener))
    monkeypatch.setattr("flows.runner._task_runner", lambda runner: ThreadPoolTaskRunner())
    url, key = "http://127.0.0.1:4200/api", "k3y-0f-w0rkers"
    planted: dict[Any, str] = {
        known.PREFECT_API_URL: url,
        known.PREFECT_API_KEY: key,
        known.PREFECT_SERVER_DATABASE_PASSWORD: SECRET,
        known.PREFECT_SERVER_DATABASE_CONNECTION_URL: f"postgresql+asyncpg://prefect:{SECRET}@db:5432/prefect",
        known.PREFECT_SERVER_API_AUTH_STRING: f"admin:{SECRET}",
        known.PREFECT_SERVER_DOCKET_URL: f"redis://:{SECRET}@cache:6379/0",
    }
    profile = known.Profile(name="planted", settings=planted)
    settings = get_settings_context().settings.copy_with_update(updates=planted)
    with (
        SettingsContext(profile=profile, settings=settings),
        FlowRunContext.model_construct(result_store=ResultStore()),
    ):
        before = pickle.dumps(serialize_context())
        with shards_on(Settings(root=tmp_path, runner=runner_at(listener))):
            within = pickle.dumps(serialize_context())
    assert SECRET.encode() in before
    assert SECRET.encode() not in within
    # What workers report with.
    assert url.encode() in within
    assert key.encode() in within


def test_a_ray_of_ones_own_is_not_somebody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.context import FlowRunContext

    from flows.runner import shards_on

    monkeypatch.setattr("tasks.check.find_spec", lambda name: object())
    monkeypatch.setenv("RAY_ADDRESS", "10.9.8.7:6379")
    with (
        FlowRunContext.model_construct(),
        pytest.raises(FvrecError, match=r"names another; where: RAY_ADDRESS; found: '10\.9\.8\.7:6379'"),
        shards_on(Settings(root=tmp_path, runner="ray")),
    ):
        pass
