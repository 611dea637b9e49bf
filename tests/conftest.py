"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before anything brings torch or NumPy: processes side by side share the cores, and threads that wait for each other
# take longer than one alone.
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))

from fvrec.config import Settings
from tests.demo_shop import build_demo_shop


@pytest.fixture(scope="session")
def demo_shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A published shop that nobody changes (see ``tests/demo_shop.py``); a test that wants to change it copies it."""
    return build_demo_shop(tmp_path_factory.mktemp("demo_shop"))


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Prefect with an ephemeral server; every result and row lies below the folder that is returned."""
    os.environ.setdefault("FVREC_ROOT", str(tmp_path_factory.mktemp("root")))
    from prefect.settings import PREFECT_HOME, PREFECT_RESULTS_LOCAL_STORAGE_PATH, temporary_settings

    import flows  # noqa: F401 - puts Prefect's defaults into the environment

    home = tmp_path_factory.mktemp("prefect")
    with temporary_settings({PREFECT_HOME: home, PREFECT_RESULTS_LOCAL_STORAGE_PATH: home / "storage"}):
        yield home
