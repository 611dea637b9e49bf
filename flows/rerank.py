"""Rerank flow: constraint rerank with verified explanations."""

from __future__ import annotations

from flows.command import run_as_command
from flows.story import story
from fvrec.config import Settings
from tasks.rerank import rerank as rerank_stage
from tasks.stage import StageResult


@story("rerank")
def rerank(settings: Settings) -> list[StageResult]:
    """Judge base order against constraint rerank on generated queries."""
    return [rerank_stage(settings)]


if __name__ == "__main__":
    raise SystemExit(run_as_command(rerank))
