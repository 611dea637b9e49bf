"""A failed run says its cause in one sentence, and whoever called the flow still gets the exception."""

from __future__ import annotations

from typing import Any

import pytest

import flows  # noqa: F401 - prepares Prefect's environment
from flows.serve import FLOWS, NIGHTLY, deployments
from flows.story import cause
from fvrec.config import PRESETS, SOURCES, Settings
from fvrec.errors import FvrecError


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


def test_every_flow_is_deployed_and_one_by_night() -> None:
    made = deployments({"settings": Settings(preset="smoke").model_dump(mode="json")})
    assert [one.name for one in made] == [flow.name for flow in FLOWS]
    assert all(one.description and one.tags == ["embedded", "smoke"] for one in made)
    scheduled = {one.name: [plan.schedule.cron for plan in one.schedules] for one in made if one.schedules}
    assert scheduled == {"nightly": [NIGHTLY]}
