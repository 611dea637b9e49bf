"""What every flow has in common: a run name that says source and preset, and failures in one sentence."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, cast

from httpx import HTTPError
from prefect import Flow, flow
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException
from prefect.states import Failed

from flows.runner import shards_on
from fvrec.config import PRESETS, SOURCES, Settings
from fvrec.errors import FvrecError
from tasks.stage import StageResult

Told = Callable[[Settings], list[StageResult]]


def story(name: str) -> Callable[[Told], Flow[[Settings], list[StageResult]]]:
    """Decorator: a flow of that name. A failed run's message is the cause; the caller still gets the exception."""

    def decorate(work: Told) -> Flow[[Settings], list[StageResult]]:
        @wraps(work)
        def told(settings: Settings) -> Any:
            try:
                _tag(settings)
                with shards_on(settings):
                    return work(settings)
            except Exception as error:
                return Failed(message=cause(error), data=error)

        made = flow(
            name=name, flow_run_name=f"{name} {{settings.source}} {{settings.preset}}", validate_parameters=True
        )
        return cast(Flow[[Settings], list[StageResult]], made(told))

    return decorate


def _tag(settings: Settings) -> None:
    """The run's tags say its own source and preset.

    A label is not worth a run: a server that does not take it is told to the log.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    run = context.flow_run
    tags = tags_of(run.tags, settings, deployed=run.deployment_id is not None)
    if tags != {*run.tags}:
        try:
            with get_client(sync_client=True) as client:
                client.update_flow_run(run.id, tags=sorted(tags))
        except (HTTPError, PrefectException) as error:
            logging.getLogger(__name__).warning("the run keeps its tags: %s", error)


def tags_of(tags: Sequence[str], settings: Settings, *, deployed: bool) -> set[str]:
    """A run's tags: a deployed one has had those of the form's defaults, whatever the form then said."""
    return {*tags} - ({*SOURCES, *PRESETS} if deployed else set()) | {settings.source, settings.preset}


def cause(error: Exception) -> str:
    """One sentence for people: what the error says, or its kind and first line where it was not foreseen."""
    if isinstance(error, FvrecError):
        return str(error)
    first = next(iter(str(error).strip().splitlines()), "")
    return f"unexpected {type(error).__name__}: {first}"
