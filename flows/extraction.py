"""Extraction flow: every model reads the held-out photos and is scored."""

from __future__ import annotations

from flows.command import run_as_command
from flows.story import story
from fvrec.config import Settings
from tasks.extraction import STAGES
from tasks.stage import StageResult


@story("extraction")
def extraction(settings: Settings) -> list[StageResult]:
    """Extract with base, sft and lora, judge the answers strictly, compare them with the labels."""
    return [stage(settings) for stage in STAGES.values()]


if __name__ == "__main__":
    raise SystemExit(run_as_command(extraction))
