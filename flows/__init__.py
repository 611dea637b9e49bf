"""Prefect flows: they compose tasks and tell the story. Importing this package prepares Prefect's environment.

Prefect reads its settings when it is first imported, so they are put in place here, before any module of this package
can import it. Everything is a default: a variable that the user has set wins.
"""

from __future__ import annotations

import os
from pathlib import Path

from fvrec.config import Settings

BATCH = "200"
"""Measured on SQLite: with the server's own batch sizes a burst of tasks stalls the next flow for a minute."""

PREFECT_DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
    "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": BATCH,
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": BATCH,
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": BATCH,
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": BATCH,
    # The first start in a new home also creates the database; on a busy machine that takes minutes, not the stock 20 s.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "600",
    # Errors reach the user as one sentence from the command line, not as the engine's log.
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
}


def prepare_prefect(root: Path) -> None:
    """Put Prefect's home below ``root`` and its defaults into the environment, without overriding the user's own."""
    home = Path(os.environ.setdefault("PREFECT_HOME", str(root.resolve() / ".prefect")))
    # Prefect makes its home, but not the folders above it, and without a home its server never comes up.
    home.parent.mkdir(parents=True, exist_ok=True)
    for name, value in PREFECT_DEFAULTS.items():
        os.environ.setdefault(name, value)


prepare_prefect(Settings().root)
