"""What a run leaves in the Prefect UI: summary, metrics, reports, pictures, and how far a long loop is."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image

from fvrec.config import Settings
from fvrec.records import Metric

pytestmark = pytest.mark.usefixtures("prefect_home")


def artifacts_of(work: Callable[[], object]) -> dict[str, Any]:
    """Key -> artifact of what ``work`` leaves when a task of a flow does it."""
    from prefect import task

    @task(cache_policy=None, name=f"work {uuid4()}")
    def once() -> None:
        work()

    return artifacts_of_flow(once)


def artifacts_of_flow(body: Callable[[], object]) -> dict[str, Any]:
    """Key -> artifact of one flow's run alone: a server gives no more than 200, and other tests leave theirs."""
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
    from prefect.context import FlowRunContext

    runs = []

    @flow(name="leaving artifacts")
    def told() -> None:
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        runs.append(context.flow_run.id)
        body()

    told()
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=runs))
        return {str(one.key): one for one in client.read_artifacts(artifact_filter=wanted)}


@pytest.fixture
def left(tmp_path: Path) -> dict[str, Any]:
    """Artifacts of a stage that makes a short report with a picture, a report without end, and a table of data."""
    from tasks.context import Context
    from tasks.stage import Stage

    settings = Settings(root=tmp_path, preset="smoke")
    names = ("short_report.md", "endless.md", "plot.png", "rows.json")
    short, endless, plot, rows = (settings.reports / name for name in names)

    def work(context: Context) -> None:
        context.build(short).write_text("# Findings\n\n![A plot](plot.png)\n\n| a |\n|---|\n| 1 |\n")
        context.build(endless).write_text("one more line\n" * 20_000)
        Image.new("RGB", (2400, 600), "teal").save(context.build(plot), "PNG")
        context.build(rows).write_text("[]")
        context.save_metrics([Metric("drawn_up", "length", 3.0, n=3)])

    made = Stage(
        name="drawn_up",
        flow="reports",
        work=work,
        outputs=lambda _: [short, endless, plot, rows],
        config=lambda _: {},
        needs={},
        external=lambda _: {},
        module="tasks.progress",
    )
    return artifacts_of_flow(lambda: made(settings))


def test_a_stage_leaves_summary_metrics_reports_and_pictures(left: dict[str, Any]) -> None:
    assert {"drawn-up-summary", "drawn-up-metrics", "short-report", "endless", "plot-picture"} <= set(left)
    assert "rows" not in left
    assert "reports/plot.png" in left["drawn-up-summary"].data
    assert '"length"' in left["drawn-up-metrics"].data

    report = left["short-report"]
    assert report.type == "markdown"
    assert report.data.startswith("# Findings")
    assert "*A plot: `plot.png`*" in report.data
    assert "![" not in report.data, "a relative link shows nothing in the UI"
    assert len(left["endless"].data) < 110_000
    assert left["endless"].data.endswith("… the rest is in `endless.md`.\n")

    picture = left["plot-picture"]
    assert picture.type == "image"
    kind, _, encoded = picture.data.partition(",")
    assert kind == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as shown:
        assert shown.size == (1000, 250)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress is told at once instead of every ten seconds."""
    monkeypatch.setattr("tasks.progress._PROGRESS_S", 0.0)


@pytest.mark.usefixtures("eager")
def test_a_long_loop_tells_how_far_it_is() -> None:
    from tasks.progress import bar

    left = artifacts_of(lambda: list(bar("Stage one: photos read")(range(4))))
    assert set(left) == {"progress-stage-one-photos-read"}
    told = left["progress-stage-one-photos-read"]
    assert (told.type, told.data, told.description) == ("progress", 100.0, "Stage one: photos read")


@pytest.mark.usefixtures("eager")
def test_a_loop_that_breaks_off_stays_where_it_was() -> None:
    from tasks.progress import steps

    def work() -> None:
        report = steps("training")
        report(1, 8)
        report(2, 8)

    assert artifacts_of(work)["progress-training"].data == 25.0


def test_what_is_over_in_seconds_leaves_nothing() -> None:
    from tasks.progress import bar

    assert artifacts_of(lambda: list(bar("quick")(range(4)))) == {}


@pytest.mark.usefixtures("eager")
def test_a_loop_of_unknown_length_or_without_a_run_leaves_nothing() -> None:
    from tasks.progress import bar

    def endless() -> Iterator[int]:
        yield from range(3)

    assert artifacts_of(lambda: list(bar("unknown")(endless()))) == {}
    assert list(bar("alone")(range(3))) == [0, 1, 2]
