"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

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
