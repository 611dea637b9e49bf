"""``docker compose up`` without an engine: the same commands, environment and health checks as plain processes."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from flows.serve import FLOWS
from flows.worker import POOL
from tests.e2e.processes import call
from tests.e2e.stack import Stack, postgres_binaries, running

pytestmark = pytest.mark.slow

RUN_S = 300.0
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@pytest.fixture(autouse=True)
def _postgres() -> None:
    if postgres_binaries() is None:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail("PostgreSQL is not installed, and in CI this test must run")
        pytest.skip("PostgreSQL is not installed")


def until(what: str, seconds: float, ready: Callable[[], Any], stack: Stack) -> Any:
    """The first true value of ``ready``; a busy server may refuse an answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := ready():
                return found
        except (URLError, OSError):
            pass
        time.sleep(1)
    said = "\n".join(f"--- {name}\n{service.said()[-3000:]}" for name, service in stack.services.items())
    return pytest.fail(f"no {what}:\n{said}")


def run(stack: Stack, api: str, key: str) -> dict[str, Any]:
    """Trigger the ingest as the UI does, and wait for its end."""
    deployment = call(api, "/deployments/name/ingest/ingest")
    asked = {"idempotency_key": key, "parameters": {"settings": {"source": "embedded", "preset": "smoke"}}}
    place = f"/deployments/{deployment['id']}/create_flow_run"
    made = until("flow run", 60, lambda: call(api, place, asked), stack)

    def ended() -> Any:
        found = call(api, f"/flow_runs/{made['id']}")
        return found if found["state"]["type"] in ENDED else None

    found: dict[str, Any] = until("end of the run", RUN_S, ended, stack)
    return found


def rows_in_postgres(stack: Stack, table: str) -> int:
    """Counted by PostgreSQL's own client, with the password of the file."""
    service = stack.services["postgres"]
    known = service.environment
    where = {"PGHOST": "127.0.0.1", "PGPORT": stack.ports["5432"], "PGDATABASE": known["POSTGRES_DB"]}
    who = {"PGUSER": known["POSTGRES_USER"], "PGPASSWORD": known["POSTGRES_PASSWORD"]}
    done = subprocess.run(
        ["psql", "-Atc", f"select count(*) from {table}"],
        env={**known, **where, **who},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def test_the_services_run_a_flow_and_end_on_their_signal() -> None:
    with running() as stack:
        api = stack.url("4200", "/api")
        assert {one["name"] for one in call(api, "/deployments/filter", {})} == {flow.name for flow in FLOWS}
        # It answers its health check a moment before it has told the server of itself.
        workers = until("worker", 60, lambda: call(api, f"/work_pools/{POOL}/workers/filter", {}), stack)
        assert [one["status"] for one in workers] == ["ONLINE"]
        nightly = call(api, "/deployments/name/nightly/nightly")
        assert [one["schedule"]["cron"] for one in nightly["schedules"]] == ["0 3 * * *"]

        ended = run(stack, api, "once")
        assert ended["state"]["type"] == "COMPLETED", f"{ended['state']}\n{stack.services['worker'].said()}"
        assert ended["name"] == "ingest embedded smoke"
        assert (stack.root / "outputs" / "manifests" / "ingest.json").exists()
        assert len((stack.root / "data" / "processed" / "items.jsonl").read_text().splitlines()) == 240
        assert rows_in_postgres(stack, "deployment") == len(FLOWS)
        assert rows_in_postgres(stack, "flow_run") >= 1

        with urlopen(stack.url("4200", "/"), timeout=30) as interface:
            assert b"<title>" in interface.read()
        with urlopen(stack.url("8501", "/runs"), timeout=30) as page:
            assert b"Streamlit" in page.read()

        for name in reversed(stack.services):
            service = stack.services[name]
            assert service.process.poll() is None, f"{name} ended by itself:\n{service.said()}"
            service.stop()
            assert service.survivors() == [], name
            assert "Traceback" not in service.said(), f"{name}:\n{service.said()}"
