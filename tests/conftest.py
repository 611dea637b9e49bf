"""Fixtures that several rooms share."""

from __future__ import annotations

import pytest

from fvrec.config import Settings
from tests.demo_shop import build_demo_shop


@pytest.fixture(scope="session")
def demo_shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A published shop that nobody changes (see ``tests/demo_shop.py``); a test that wants to change it copies it."""
    return build_demo_shop(tmp_path_factory.mktemp("demo_shop"))
