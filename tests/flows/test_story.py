"""A failed run says its cause in one sentence, and whoever called the flow still gets the exception."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect import tags
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

import flows  # noqa: F401 - prepares Prefect's environment
from flows.serve import FLOWS, NIGHTLY, deployments
from flows.story import cause, story, tags_of
from fvrec.config import PRESETS, SOURCES, Settings
from fvrec.errors import FvrecError
from tasks.stage import StageResult


def test_causes_are_one_sentence() -> None:
    error = FvrecError("the folder is missing", where="data/raw", found="nothing", allowed="styles.csv")
    assert cause(error) == str(error)
    assert cause(ValueError("first\nsecond")) == "unexpected ValueError: first"
    assert cause(KeyError()) == "unexpected KeyError: "


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_the_form_of_every_flow_is_described(flow: Any) -> None:
    fields = flow.parameters.model_dump()["definitions"]["Settings"]["properties"]
    assert set(fields) == set(Settings.model_fields)
    assert [name for name, field in fields.items() if not field.get("description")] == []
    assert fields["preset"]["enum"] == list(PRESETS)
    assert fields["source"]["enum"] == list(SOURCES)
    assert flow.flow_run_name == f"{flow.name} {{settings.source}} {{settings.preset}}"


@pytest.mark.usefixtures("prefect_home")
def test_a_run_bears_the_tags_of_what_it_was_asked(tmp_path: Path) -> None:
    seen: list[UUID] = []

    @story("tagged")
    def tagged(settings: Settings) -> list[StageResult]:
        seen.append(flow_run.id)
        return []

    with tags("large", "mine"):
        tagged(Settings(root=tmp_path, source="myntra", preset="smoke"))
    with get_client(sync_client=True) as client:
        assert set(client.read_flow_run(seen[0]).tags) == {"myntra", "smoke", "large", "mine"}


def test_a_deployed_run_loses_the_tags_of_the_forms_defaults() -> None:
    asked = Settings(source="myntra", preset="smoke")
    assert tags_of(["embedded", "tiny", "mine"], asked, deployed=True) == {"myntra", "smoke", "mine"}


@pytest.mark.usefixtures("prefect_home")
def test_a_server_that_takes_no_tags_costs_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise httpx.ConnectError("gone")

    @story("untagged")
    def untagged(settings: Settings) -> list[StageResult]:
        return []

    monkeypatch.setattr("flows.story.get_client", refuse)
    assert untagged(Settings(root=tmp_path)) == []


def test_every_flow_is_deployed_and_one_by_night() -> None:
    made = deployments({"settings": Settings(preset="smoke").model_dump(mode="json")})
    assert [one.name for one in made] == [flow.name for flow in FLOWS]
    assert all(one.description and one.tags == ["embedded", "smoke"] for one in made)
    scheduled = {one.name: [plan.schedule.cron for plan in one.schedules] for one in made if one.schedules}
    assert scheduled == {"nightly": [NIGHTLY]}
