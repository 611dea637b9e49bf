"""A Prefect of the tests' own: a temporary home and database for the whole session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Prefect with an ephemeral server; every result and row lies below the folder that is returned."""
    os.environ.setdefault("FVREC_ROOT", str(tmp_path_factory.mktemp("root")))
    from prefect.settings import PREFECT_HOME, PREFECT_RESULTS_LOCAL_STORAGE_PATH, temporary_settings

    import flows  # noqa: F401 - puts Prefect's defaults into the environment

    home = tmp_path_factory.mktemp("prefect")
    with temporary_settings({PREFECT_HOME: home, PREFECT_RESULTS_LOCAL_STORAGE_PATH: home / "storage"}):
        yield home
