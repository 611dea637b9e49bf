"""Reports are made of runs that belong together, and of nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fvrec.config import Settings
from fvrec.errors import FvrecError

pytestmark = pytest.mark.usefixtures("prefect_home")


def _made(root: Path, **changes: Any) -> Settings:
    """A root with two stages run on a drawn catalogue of 120."""
    settings = _settings(root, **changes)
    _run("ingest", settings)
    _run("sft_data", settings)
    return settings


def _settings(root: Path, **changes: Any) -> Settings:
    known: Mapping[str, Any] = {"root": root, "preset": "smoke", "limit": 120, **changes}
    return Settings(**known)


def _run(stage: str, settings: Settings) -> None:
    from tasks.ingest import ingest
    from tasks.sft_data import sft_data

    {"ingest": ingest, "sft_data": sft_data}[stage](settings)


def test_what_has_run_so_far_is_collected(tmp_path: Path) -> None:
    from tasks.report import collect

    data = collect(_made(tmp_path))
    assert [run.stage for run in data.runs] == ["ingest", "sft_data"]
    assert len(data.items) == 120


def test_an_ingest_that_made_the_same_again_leaves_the_rest_valid(tmp_path: Path) -> None:
    from tasks.report import collect

    settings = _made(tmp_path)
    settings.items_file.unlink()
    _run("ingest", settings)
    assert [run.stage for run in collect(settings).runs] == ["ingest", "sft_data"]


@pytest.mark.parametrize("change", [{"seed": 8}, {"limit": 100}])
def test_a_stage_of_an_older_catalogue_is_refused(tmp_path: Path, change: dict[str, int]) -> None:
    from tasks.report import collect

    _made(tmp_path)
    newer = _settings(tmp_path, **change)
    _run("ingest", newer)
    option = " ".join(f"--{name} {value}" for name, value in {"seed": 7, "limit": 120, **change}.items())
    with pytest.raises(FvrecError, match=rf"stage sft_data read another items.*`fvrec run .*{option}"):
        collect(newer)
    _run("sft_data", newer)
    assert len(collect(newer).items) == newer.limit


def test_items_that_another_preset_replaced_are_refused(tmp_path: Path) -> None:
    from tasks.report import collect

    settings = _made(tmp_path)
    _run("ingest", _settings(tmp_path, preset="tiny", limit=150))
    with pytest.raises(
        FvrecError, match=r"not those of its newest ingest with preset smoke; .*150 items, ingested 120"
    ):
        collect(settings)


def test_an_edited_view_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks import report
    from warehouse import upgrade
    from warehouse.read import Warehouse

    settings = _made(tmp_path)
    report.publish(settings)
    assert report.publish(settings).reused
    views = tmp_path / "views"
    shutil.copytree(upgrade.VIEWS, views)
    (views / "one.sql").write_text("CREATE VIEW one AS SELECT 1 AS a;\n")
    monkeypatch.setattr(report, "VIEWS", views)
    assert not report.publish(settings).reused
    assert Warehouse(settings.snapshot).query("SELECT a, count(*) FROM one, latest_runs GROUP BY 1").rows == ((1, 2),)


def test_without_a_warehouse_nothing_is_published(tmp_path: Path) -> None:
    from tasks import report

    settings = _settings(tmp_path)
    with pytest.raises(FvrecError, match="no warehouse yet"):
        report.publish(settings)
    assert not settings.database.exists()
