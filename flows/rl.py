"""RL flow: the list policy against Base and MMR."""

from __future__ import annotations

from flows.command import run_as_command
from flows.story import story
from fvrec.config import Settings
from tasks.rl import rl as rl_stage
from tasks.stage import StageResult


@story("rl")
def rl(settings: Settings) -> list[StageResult]:
    """Train the list policy and compare it on users that no training saw."""
    return [rl_stage(settings)]


if __name__ == "__main__":
    raise SystemExit(run_as_command(rl))
