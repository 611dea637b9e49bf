"""Rerank flow: constraint rerank with verified explanations."""

from __future__ import annotations

from prefect import flow

from flows.command import run_as_command
from fvrec.config import Settings
from tasks.rerank import rerank as rerank_stage
from tasks.stage import StageResult


@flow(name="rerank", flow_run_name="rerank {settings.source} {settings.preset}")
def rerank(settings: Settings) -> list[StageResult]:
    """Judge base order against constraint rerank on generated queries."""
    return [rerank_stage(settings)]


if __name__ == "__main__":
    raise SystemExit(run_as_command(rerank))
