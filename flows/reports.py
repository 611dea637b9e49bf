"""Reports and publication: what people read, and the snapshot that pages and SQL clients open."""

from __future__ import annotations

from flows.command import run_as_command
from flows.story import story
from fvrec.config import Settings
from tasks import report
from tasks.stage import StageResult


@story("reports")
def reports(settings: Settings) -> list[StageResult]:
    """Make every report again from the warehouse alone."""
    return [report.reports(settings)]


@story("publish")
def publish(settings: Settings) -> list[StageResult]:
    """Publish a new snapshot of the warehouse."""
    return [report.publish(settings)]


if __name__ == "__main__":
    raise SystemExit(run_as_command(reports))
