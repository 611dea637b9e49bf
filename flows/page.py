"""The demo page as a process: how it is started, beside a server or alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HOME = Path(__file__).resolve().parents[1] / "app" / "Home.py"
_OPTIONS = {
    "server.address": "127.0.0.1",
    "server.showEmailPrompt": "false",
    "browser.gatherUsageStats": "false",
    "runner.magicEnabled": "false",  # else a text that stands alone in a script is shown to the visitor
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
}
ENVIRONMENT = {
    # glibc gives threads heaps of their own, up to eight a core, and what a thread has freed in one of them is not
    # there for the others. Each opening of a snapshot has DuckDB start threads anew, so heap after heap would fill.
    "MALLOC_ARENA_MAX": "1",
}
"""Where the environment does not say otherwise."""


def page_command(port: int, *, opens_browser: bool) -> Sequence[str]:
    """The command line: the page on the loopback interface. A browser only opens where there is a display."""
    options = {"server.port": str(port), **_OPTIONS, **({} if opens_browser else {"server.headless": "true"})}
    return [sys.executable, "-m", "streamlit", "run", str(HOME), *(f"--{name}={one}" for name, one in options.items())]


def page_environment(root: Path, **more: str) -> Mapping[str, str]:
    """The environment of the page that shows what lies below ``root``."""
    return {**ENVIRONMENT, **os.environ, "FVREC_ROOT": str(root), **more}
