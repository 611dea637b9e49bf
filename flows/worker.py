"""A process worker beside a Prefect server of one's own: its pool, a deployment of every flow, then the worker.

``python -m flows.worker`` needs ``PREFECT_API_URL``; ``docker-compose.yml`` starts it. Everything it does can be done
by hand with the commands that ``prefect.yaml`` names.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker

from flows.serve import close_abandoned
from fvrec.config import Settings

CHECKOUT = Path(__file__).resolve().parents[1]
POOL = "fvrec"
"""The work pool of ``prefect.yaml``."""


def make_pool() -> None:
    """The pool, unless it is there: what its owner changed in it stays."""
    template = ProcessWorker.get_default_base_job_template()
    with get_client(sync_client=True) as client:
        try:
            client.create_work_pool(WorkPoolCreate(name=POOL, type=ProcessWorker.type, base_job_template=template))
        except ObjectAlreadyExists:
            return


def main() -> None:
    """Never returns: the process becomes the worker, so that a stop signal reaches it."""
    prefect = [sys.executable, "-m", "prefect"]
    make_pool()
    close_abandoned(Settings(), pool=POOL)
    subprocess.run([*prefect, "--no-prompt", "deploy", "--all"], cwd=CHECKOUT, check=True)  # noqa: S603 - our own words
    # One run at a time: a root takes no second one, so others wait in the pool instead of failing.
    worker = ["worker", "start", "--pool", POOL, "--type", ProcessWorker.type, "--limit", "1", "--with-healthcheck"]
    # No shell is wanted.
    os.execv(sys.executable, [*prefect, *worker])  # noqa: S606  # nosec B606


if __name__ == "__main__":
    main()
