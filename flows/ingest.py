"""Ingest flow: a source's rows and photos -> items."""

from __future__ import annotations

from flows.command import run_as_command
from flows.story import story
from fvrec.config import Settings
from tasks.ingest import ingest as ingest_stage
from tasks.stage import StageResult


@story("ingest")
def ingest(settings: Settings) -> list[StageResult]:
    """Read, check, group and split the catalogue; what is rejected goes to the quarantine."""
    return [ingest_stage(settings)]


if __name__ == "__main__":
    raise SystemExit(run_as_command(ingest))
