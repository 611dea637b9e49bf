"""The nightly flow: what has come in since yesterday is read and published; nothing is trained."""

from __future__ import annotations

from flows.command import run_as_command
from flows.ingest import ingest
from flows.reports import publish
from flows.story import story
from fvrec.config import Settings
from tasks.new_items import extract_new
from tasks.stage import StageResult


@story("nightly")
def nightly(settings: Settings) -> list[StageResult]:
    """Ingest, read the new items with the served model, publish."""
    return [*ingest(settings), extract_new(settings), *publish(settings)]


if __name__ == "__main__":
    raise SystemExit(run_as_command(nightly))
