"""Shards of a stage's work as Prefect tasks, submitted to the task runner of the flow that is running.

Few and large, as each is a task run in Prefect's database. What Prefect does not see is the work's own: it is handed
over in one piece, since Prefect would look into every list and dataclass for futures to wait for.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from typing import Any, Generic, TypeVar, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from threadpoolctl import threadpool_info, threadpool_limits

from fvrec.closure import PACKAGES, code_digest
from fvrec.config import Settings
from fvrec.errors import FvrecError
from fvrec.parallel import Pending, Runner

Shard = TypeVar("Shard")
Result = TypeVar("Result")

LOCAL = "local"
_PYTHON = "Python"
COMPUTING = (
    *("numpy", "scipy", "scikit-learn", "torch", "transformers", "tokenizers", "peft", "safetensors"),
    *("efficientnet-lite-pytorch", "pillow", "ImageHash", "pyarrow", "pyversity"),
)
"""Packages that the results of shards are made with or written by."""


@dataclass(frozen=True)
class Conditions:
    """What the results of a shard depend on beside the shard.

    code: digest of the function's import closure. libraries: name and version of Python and of the packages that
    compute (``COMPUTING``). threads: torch's, and blas those of NumPy, as rounding may depend on their number; 0 where
    torch is not loaded.
    """

    code: str
    libraries: tuple[tuple[str, str], ...]
    threads: int
    blas: int

    @classmethod
    def here(cls, module: str) -> Conditions:
        """Those of this process for a function of ``module``."""
        torch = sys.modules.get("torch")
        return cls(_code_of(module), _libraries(), torch.get_num_threads() if torch else 0, _blas_threads())

    def require_here(self, module: str) -> None:
        """FvrecError when this machine has another version of the code or of a library: results would differ."""
        code = _code_of(module)
        if code != self.code:
            raise FvrecError(
                "a worker has another version of fvrec", where=platform.node(), found=code[:12], allowed=self.code[:12]
            )
        for name, wanted in self.libraries:
            if (found := _version(name)) != wanted:
                raise FvrecError(f"a worker has another {name}", where=platform.node(), found=found, allowed=wanted)

    @contextmanager
    def held(self) -> Iterator[None]:
        """As many threads as there. torch keeps them, as the next shard wants the same."""
        if self.threads:
            import torch

            torch.set_num_threads(self.threads)
        # Threads of the stage's own process compute side by side: there is nothing to change for them.
        same = _blas_threads() == self.blas
        with nullcontext() if same else threadpool_limits(self.blas, user_api="blas"):
            yield


class Work(Generic[Shard, Result]):
    """A function and its shard. No dataclass: Prefect would take it apart."""

    def __init__(self, function: Callable[[Shard], Result], shard: Shard, conditions: Conditions) -> None:
        self.function, self.shard, self.conditions = function, shard, conditions

    def __call__(self) -> Result:
        """Do it. FvrecError when the result would not be the same here as where it was wanted."""
        self.conditions.require_here(self.function.__module__)
        with self.conditions.held():
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
        work = Work(function, shard, Conditions.here(function.__module__))
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


@cache
def _libraries() -> tuple[tuple[str, str], ...]:
    return tuple((name, _version(name)) for name in (_PYTHON, *COMPUTING))


def _version(name: str) -> str:
    """Without the build's own mark (torch's ``+cpu``): which processor computes is the cluster's business."""
    if name == _PYTHON:
        return ".".join(platform.python_version_tuple()[:2])
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return "none"


def _blas_threads() -> int:
    return max((one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"), default=0)
