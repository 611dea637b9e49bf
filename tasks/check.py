"""What must hold before anything is written: the settings make sense and the source is there."""

from __future__ import annotations

import os
import shutil
import socket
from importlib.util import find_spec
from pathlib import Path

from fvrec.config import Settings
from fvrec.errors import FvrecError
from fvrec.vlm.published import require_published
from tasks.source import source_of

LEAST_FREE = 32 << 20
"""Bytes of the root's disk. Prefect's database takes some of them, and its server waits for minutes where it cannot."""
RAY = "ray"
RUNNERS = ("local", "threads", RAY, "ray://HOST:PORT")
CLUSTER = "FVREC_RAY_CLUSTER"
"""Variable with the one cluster that this process may use. Whoever may start a flow chooses among runners, no hosts:
Ray's client unpickles what a host answers."""
_ANSWERS_S = 5.0


def check_settings(settings: Settings) -> None:
    """FvrecError on an unknown preset, source or runner, a limit below 1, a bad root, a full disk, missing files."""
    _ = settings.budget
    require_runner(settings.runner)
    if settings.limit is not None and settings.limit < 1:
        raise FvrecError("--limit must be positive", found=settings.limit, allowed="1 or more")
    if settings.root.exists() and not settings.root.is_dir():
        raise FvrecError("the root is not a folder", where="--root", found=str(settings.root))
    _require_room(settings.root)
    if settings.budget.published:
        require_published(settings.budget.published, settings.weights_of(settings.budget.published))
    source_of(settings).discover()


def require_runner(runner: str) -> None:
    """FvrecError on an unknown runner, a cluster that ``CLUSTER`` does not name, without Ray, or if nobody listens."""
    kind, _, address = runner.partition("://")
    host, _, port = address.rpartition(":")
    named = kind == RAY and bool(host) and port.isdecimal() and 0 < int(port) < 1 << 16
    if runner not in RUNNERS[:3] and not named:
        raise FvrecError("unknown runner", where="--runner", found=runner, allowed=RUNNERS)
    if named and runner != os.environ.get(CLUSTER):
        raise FvrecError(
            "the process that runs the flow may not use this Ray cluster",
            where="--runner",
            found=runner,
            allowed=f"the address in that process's environment variable {CLUSTER}",
        )
    if kind == RAY and not (find_spec("ray") and find_spec("prefect_ray")):
        raise FvrecError(
            "the runner ray needs Ray, which is not installed", where="--runner", allowed="pip install 'fvrec[ray]'"
        )
    if named:
        try:
            socket.create_connection((host.strip("[]"), int(port)), _ANSWERS_S).close()
        except OSError as error:
            raise FvrecError(
                f"no Ray cluster answers there: {error.strerror or error}",
                where="--runner",
                found=runner,
                allowed="the client port of a head node (`ray start --head --ray-client-server-port=10001`)",
            ) from error


def _require_room(root: Path) -> None:
    home = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.exists())
    free = shutil.disk_usage(home).free
    if free < LEAST_FREE:
        raise FvrecError(
            "the disk is full: No space left on device, or hardly any",
            where=home,
            found=f"{free} bytes free",
            allowed=f"{LEAST_FREE} and more",
        )
