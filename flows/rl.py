"""RL flow: the list policy against Base and MMR."""

from __future__ import annotations

from prefect import flow

from flows.command import run_as_command
from fvrec.config import Settings
from tasks.rl import rl as rl_stage
from tasks.stage import StageResult


@flow(name="rl", flow_run_name="rl {settings.source} {settings.preset}")
def rl(settings: Settings) -> list[StageResult]:
    """Train the list policy and compare it on users that no training saw."""
    return [rl_stage(settings)]


if __name__ == "__main__":
    raise SystemExit(run_as_command(rl))
