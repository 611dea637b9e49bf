"""A process worker beside a Prefect server of one's own: its pool, a deployment of every flow, then the worker.

``python -m flows.worker`` needs ``PREFECT_API_URL``; ``docker-compose.yml`` starts it. Everything it does can be done
by hand with the commands that ``prefect.yaml`` names.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker

from flows.serve import close_abandoned
from fvrec.config import Settings

CHECKOUT = Path(__file__).resolve().parents[1]
POOL = "fvrec"
"""The work pool of ``prefect.yaml``."""
PATIENCE_S = 10.0
_LOOK_S = 0.25


def make_pool() -> None:
    """The pool, unless it is there: what its owner changed in it stays."""
    template = ProcessWorker.get_default_base_job_template()
    with get_client(sync_client=True) as client:
        try:
            client.create_work_pool(WorkPoolCreate(name=POOL, type=ProcessWorker.type, base_job_template=template))
        except ObjectAlreadyExists:
            return


def supervise(command: Sequence[str], patience_s: float = PATIENCE_S) -> int:
    """Run a worker until it ends, and see to it that it does when this process is asked to stop; its exit code.

    Prefect 3.8.8's worker sometimes waits for ever when the signal reaches it between a run's last state and the end of
    the run's process. So once it has been asked, and no run of it has been alive for ``patience_s``, it is killed (the
    exit code is then 0: nothing was lost). A run that is at work is waited for.
    """
    worker = subprocess.Popen(command, cwd=CHECKOUT)  # noqa: S603 - our own words
    asked = threading.Event()

    def stop(signum: int, _: FrameType | None) -> None:
        asked.set()
        if signum == signal.SIGTERM:  # a terminal's interrupt has reached the worker too
            worker.terminate()

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)
    idle_since = time.monotonic()
    while True:
        try:
            return worker.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            if not asked.is_set() or _has_children(worker.pid):
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > patience_s:
                worker.kill()
                worker.wait()
                return 0


def _has_children(pid: int) -> bool:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    try:
        return any(file.read_text().strip() for file in lists)
    except OSError:  # it ends just now
        return False


def main() -> int:
    """The worker's exit code."""
    prefect = [sys.executable, "-m", "prefect"]
    make_pool()
    close_abandoned(Settings(), pool=POOL)
    subprocess.run([*prefect, "--no-prompt", "deploy", "--all"], cwd=CHECKOUT, check=True)  # noqa: S603 - our own words
    # One run at a time: a root takes no second one, so others wait in the pool instead of failing.
    worker = ["worker", "start", "--pool", POOL, "--type", ProcessWorker.type, "--limit", "1", "--with-healthcheck"]
    return supervise([*prefect, *worker])


if __name__ == "__main__":
    sys.exit(main())
