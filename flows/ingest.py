"""Ingest flow: a source's rows and photos -> items."""

from __future__ import annotations

from prefect import flow

from flows.command import run_as_command
from fvrec.config import Settings
from tasks.ingest import ingest as ingest_stage
from tasks.stage import StageResult


@flow(name="ingest", flow_run_name="ingest {settings.source} {settings.preset}")
def ingest(settings: Settings) -> list[StageResult]:
    """Read, check, group and split the catalogue; what is rejected goes to the quarantine."""
    return [ingest_stage(settings)]


if __name__ == "__main__":
    raise SystemExit(run_as_command(ingest))
