"""Shards of a stage's work as Prefect tasks, submitted to the task runner of the flow that is running.

Few and large, as each is a task run in Prefect's database. What Prefect does not see is the work's own: it is handed
over in one piece, since Prefect would look into every list and dataclass for futures to wait for.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any, Generic, TypeVar, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture

from fvrec.closure import PACKAGES, code_digest
from fvrec.config import Settings
from fvrec.errors import FvrecError
from fvrec.parallel import Pending, Runner

Shard = TypeVar("Shard")
Result = TypeVar("Result")

LOCAL = "local"


class Work(Generic[Shard, Result]):
    """A function and its shard. No dataclass: Prefect would take it apart.

    code: digest of the function's import closure here. threads: torch's, as rounding may depend on their number; 0
    where torch is not loaded.
    """

    def __init__(self, function: Callable[[Shard], Result], shard: Shard, code: str, threads: int) -> None:
        self.function, self.shard, self.code, self.threads = function, shard, code, threads

    def __call__(self) -> Result:
        """Do it. FvrecError when this machine has another version of the code: its results would not be the same."""
        found = _code_of(self.function.__module__)
        if found != self.code:
            raise FvrecError(
                "a worker has another version of fvrec", where=platform.node(), found=found[:12], allowed=self.code[:12]
            )
        if self.threads and "torch" in sys.modules:
            import torch

            torch.set_num_threads(self.threads)
        return self.function(self.shard)


@task(cache_policy=NO_CACHE, persist_result=False)
def do(work: Work[Any, Any]) -> Any:
    """One shard."""
    return work()


@dataclass(frozen=True)
class Submitted(Generic[Result]):
    """A shard under way."""

    future: PrefectFuture[Result]
    name: str

    def result(self) -> Result:
        """See ``Pending``. FvrecError also when Ray gave the shard up: its workers died, or could not start it."""
        try:
            return self.future.result()
        except Exception as error:
            if not type(error).__module__.startswith("ray."):
                raise
            said = str(error).strip().splitlines() or [""]
            raise FvrecError(
                "Ray gave a shard up", where=self.name, found=f"{type(error).__name__}: {said[-1]}"
            ) from error


@dataclass(frozen=True)
class PrefectRunner:
    """A Runner on the running flow's task runner. ``stage``: names the task runs."""

    stage: str
    _number: count[int] = field(default_factory=lambda: count(1))

    def submit(self, function: Callable[[Shard], Result], shard: Shard) -> Pending[Result]:
        """Hand the shard to the flow's task runner."""
        torch = sys.modules.get("torch")
        work = Work(function, shard, _code_of(function.__module__), torch.get_num_threads() if torch else 0)
        name = f"{self.stage} shard {next(self._number)}"
        named = do.with_options(name=f"{self.stage} shard", task_run_name=name)
        return Submitted(cast("PrefectFuture[Result]", named.submit(work)), name)


def runner_of(settings: Settings, stage: str) -> Runner | None:
    """Who does this stage's shards; None: the stage itself, in its own way. FvrecError outside a flow."""
    if settings.runner == LOCAL:
        return None
    if FlowRunContext.get() is None:
        raise FvrecError("a stage has no runner outside a flow", where="--runner", found=settings.runner, allowed=LOCAL)
    return PrefectRunner(stage)


@cache
def _code_of(module: str) -> str:
    """Digest of the module's import closure; empty for a module of somebody else's, whose files are not looked for."""
    return code_digest(module) if module.partition(".")[0] in PACKAGES else ""
