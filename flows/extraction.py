"""Extraction flow: every model reads the held-out photos and is scored."""

from __future__ import annotations

from prefect import flow

from flows.command import run_as_command
from fvrec.config import Settings
from tasks.extraction import STAGES
from tasks.stage import StageResult


@flow(name="extraction", flow_run_name="extraction {settings.source} {settings.preset}")
def extraction(settings: Settings) -> list[StageResult]:
    """Extract with base, sft and lora, judge the answers strictly, compare them with the labels."""
    return [stage(settings) for stage in STAGES.values()]


if __name__ == "__main__":
    raise SystemExit(run_as_command(extraction))
