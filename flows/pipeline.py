"""The whole loop: ingest, training, extraction, rerank, RL, reports, publication."""

from __future__ import annotations

from flows.command import await_imports, run_as_command
from flows.extraction import extraction
from flows.ingest import ingest
from flows.reports import publish, reports
from flows.rerank import rerank
from flows.rl import rl
from flows.sft import sft
from flows.story import story
from fvrec.config import Settings
from tasks.stage import StageResult

STEPS = (ingest, sft, extraction, rerank, rl, reports, publish)


@story("pipeline")
def pipeline(settings: Settings) -> list[StageResult]:
    """From product photos to explained, re-ranked lists. Stages whose inputs, config and code stand are reused."""
    await_imports()
    return [result for step in STEPS for result in step(settings)]


if __name__ == "__main__":
    raise SystemExit(run_as_command(pipeline))
