"""A stage: a function that makes files and warehouse rows, run as a Prefect task, and run again only when it must.

Reuse hangs on one digest of inputs, configuration and code. It is the Prefect task's cache key, but the manifest alone
decides: when it is absent, of another digest, or names an output that is gone or altered, the cached result is dropped.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from prefect import task
from prefect.client.schemas.objects import State, TaskRun

from fvrec.artifacts import Manifest, input_digest, remove, remove_leftovers, verify
from fvrec.closure import code_digest
from fvrec.config import Settings
from fvrec.errors import FvrecError
from tasks.artifacts import leave_artifacts
from tasks.context import Context, altered_rows, warehouse_rows
from tasks.lineage import NO_ROWS
from tasks.lock import only_run
from tasks.record import write_logs
from warehouse.connect import is_io_trouble

RETRIES = 2
RETRY_DELAY_SECONDS = 1
LASTING = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
LASTING_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENAMETOOLONG)
"""What the system says when only the user can mend it: a full disk is full a second later too."""


@dataclass(frozen=True)
class StageResult:
    """What became of one stage: run or reused, how long it took, and what it made (path or relation -> digest)."""

    stage: str
    run_id: str
    reused: bool
    seconds: float
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What a stage would be run with, and whether what is there already will do."""

    manifest_path: Path
    inputs: Mapping[str, str]
    config: Mapping[str, Any]
    code: str
    digest: str
    upstream: Mapping[str, Manifest]
    complete: Manifest | None
    reason: str
    """Why it has to run; empty when ``complete`` is there."""


@dataclass(frozen=True)
class Stage:
    """One stage of the pipeline. Call it with settings, inside a flow or alone.

    name: stage in manifests, runs and metrics. flow: the sub-flow and the command that hold it. work: does it.
    needs: upstream stage -> the outputs and relations of it that are read (names as in its manifest).
    config: the settings that steer it. outputs: the places it fills. external: digests of inputs that no stage made.
    source_relations: relations that it replaces for a whole source (those keyed by run are found by the run's name).
    """

    name: str
    flow: str
    work: Callable[[Context], None]
    outputs: Callable[[Settings], Sequence[Path]]
    config: Callable[[Settings], Mapping[str, Any]]
    needs: Mapping[str, Sequence[str]]
    external: Callable[[Settings], Mapping[str, str]]
    source_relations: tuple[str, ...] = ()
    module: str = ""
    """Whose import closure is the stage's code; the module of ``work`` unless said otherwise."""
    listed: Callable[[Settings], Sequence[Path]] = lambda _settings: ()
    """Folders that it may fill and that are compared by their listing, unread."""
    recorded: bool = True
    """Whether it has a row in ``runs`` (publication has not: the copy would show it as running for ever)."""

    def manifest_path(self, settings: Settings) -> Path:
        return settings.manifests / f"{self.name}.json"

    def plan(self, settings: Settings) -> Plan:
        """Digest what it would run with, compare with what is there. FvrecError when an upstream stage is missing."""
        upstream = {name: _upstream(name, self.name, settings) for name in self.needs}
        inputs = {
            f"{stage}:{name}": digest
            for stage, names in self.needs.items()
            for name, digest in _pick(upstream[stage], names, settings).items()
        }
        inputs.update(self.external(settings))
        config = {"source": settings.source, "preset": settings.preset, **self.config(settings)}
        code = code_digest(self.module or self.work.__module__)
        digest = input_digest(self.name, inputs, config, code)
        path = self.manifest_path(settings)
        manifest = Manifest.read(path)
        reason = self._why(manifest, Plan(path, inputs, config, code, digest, upstream, None, ""), settings)
        return Plan(path, inputs, config, code, digest, upstream, None if reason else manifest, reason)

    def __call__(self, settings: Settings) -> StageResult:
        """Run the stage, or reuse what is there. Raises what the work raises; a failed run leaves no manifest.

        FvrecError when another process runs anything in this root.
        """
        with only_run(settings):
            return self._call(settings)

    def _call(self, settings: Settings) -> StageResult:
        started = perf_counter()
        plan = self.plan(settings)

        @task(
            name=self.name,
            task_run_name=f"{self.name} {settings.source} {settings.preset}",
            tags=[settings.source, settings.preset],
            persist_result=True,
            result_serializer="json",
            cache_key_fn=lambda _context, _parameters: f"{self.name}-{plan.digest}",
            refresh_cache=plan.complete is None,
            retries=RETRIES,
            retry_delay_seconds=RETRY_DELAY_SECONDS,
            retry_condition_fn=_is_transient,
        )
        def execute(_stage: str, _digest: str) -> dict[str, Any]:
            return self._run(settings, plan)

        made = StageResult(**execute(self.name, plan.digest))
        if plan.complete is None:
            return made
        outputs = {**plan.complete.outputs, **plan.complete.warehouse}
        return StageResult(self.name, plan.complete.run_id, True, perf_counter() - started, outputs)

    def _run(self, settings: Settings, plan: Plan) -> dict[str, Any]:
        """The task's body; also reached when the manifest is whole but Prefect has forgotten the result."""
        if plan.complete is not None:
            made = {**plan.complete.outputs, **plan.complete.warehouse}
            return asdict(StageResult(self.name, plan.complete.run_id, True, plan.complete.seconds, made))
        remove(plan.manifest_path)
        for place in (plan.manifest_path, *self.outputs(settings)):
            remove_leftovers(place)
        started = perf_counter()
        context = Context(self.name, self.flow, settings, plan.upstream, plan.config, plan.code, plan.inputs)
        with _told(self.name), context.running(recorded=self.recorded):
            self.work(context)
            context.place(self.outputs(settings))
            # Still within the run: an output that cannot be read back is a failed run, not a complete one.
            manifest = Manifest(
                stage=self.name,
                run_id=context.run_id,
                inputs=plan.inputs,
                config=plan.config,
                code=plan.code,
                outputs=context.output_digests(self.outputs(settings)),
                warehouse=warehouse_rows(settings, context.run_id, self.source_relations),
                seconds=perf_counter() - started,
                listed=context.listing_digests(self.listed(settings)),
            )
            context.made.update({**manifest.outputs, **manifest.warehouse})
        write_logs(self.flow, manifest, settings)
        leave_artifacts(manifest, context.saved_metrics, self.outputs(settings))
        manifest.write(plan.manifest_path)
        made = {**manifest.outputs, **manifest.warehouse}
        return asdict(StageResult(self.name, manifest.run_id, False, manifest.seconds, made))

    def _why(self, manifest: Manifest | None, plan: Plan, settings: Settings) -> str:
        if manifest is None:
            return "no manifest"
        if manifest.input_digest != plan.digest:
            parts = {"inputs": plan.inputs, "config": plan.config, "code": plan.code}
            changed = [name for name, value in parts.items() if _plain(getattr(manifest, name)) != _plain(value)]
            return f"changed: {', '.join(changed) or 'stage'}"
        faults = verify(manifest, settings.root)
        if not faults and manifest.warehouse != warehouse_rows(settings, manifest.run_id, self.source_relations):
            faults = ["its rows in the warehouse are gone or altered"]
        return "; ".join(faults)


def stage(
    name: str,
    *,
    flow: str,
    outputs: Callable[[Settings], Sequence[Path]] = lambda _settings: (),
    config: Callable[[Settings], Mapping[str, Any]] = lambda _settings: {},
    needs: Mapping[str, Sequence[str]] | None = None,
    external: Callable[[Settings], Mapping[str, str]] = lambda _settings: {},
    source_relations: tuple[str, ...] = (),
    module: str = "",
    listed: Callable[[Settings], Sequence[Path]] = lambda _settings: (),
    recorded: bool = True,
) -> Callable[[Callable[[Context], None]], Stage]:
    """Decorator: make a :class:`Stage` of the function that does its work. Its code is that function's module."""

    def decorate(work: Callable[[Context], None]) -> Stage:
        return Stage(
            name, flow, work, outputs, config, dict(needs or {}), external, source_relations, module, listed, recorded
        )

    return decorate


@contextmanager
def _told(stage: str) -> Iterator[None]:
    """The system's own errors (a full disk, a read-only one) in a sentence that names the file."""
    try:
        yield
    except OSError as error:
        what = f"stage {stage}: the system refused: {error.strerror or error}"
        raise FvrecError(what, where=error.filename) from error
    except Exception as error:
        # tokenizers and safetensors hand on what the system said as text.
        if _system_error(error) is None:
            raise
        raise FvrecError(f"stage {stage}: the system refused: {error}") from error


def _system_error(error: BaseException) -> int | None:
    """The system's number behind an error, also where a library in Rust has made text of it."""
    if isinstance(error, OSError):
        return error.errno
    found = None if isinstance(error, FvrecError) else re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None


def _upstream(name: str, wanted_by: str, settings: Settings) -> Manifest:
    manifest = Manifest.read(settings.manifests / f"{name}.json")
    if manifest is None:
        raise FvrecError(
            f"stage {wanted_by} needs stage {name}, which is not complete",
            where=settings.manifests,
            allowed="`fvrec run` makes every stage in order",
        )
    for key in ("source", "preset"):
        if manifest.config[key] != getattr(settings, key):
            raise FvrecError(
                f"stage {wanted_by} needs stage {name} with --{key} {getattr(settings, key)}",
                where=settings.manifests,
                found=manifest.config[key],
                allowed="`fvrec run` makes every stage in order",
            )
    return manifest


def _pick(manifest: Manifest, names: Sequence[str], settings: Settings) -> dict[str, str]:
    """Digests of the named outputs (paths) and relations; a relation without any row of the run counts as empty.

    FvrecError when one of them is no longer what the manifest says: what is made of it would bear a wrong digest.
    """
    missing = [name for name in names if "/" in name and name not in manifest.outputs]
    if missing:
        raise FvrecError(f"stage {manifest.stage} made no {missing[0]}", allowed=manifest.outputs)
    relations = [name for name in names if "/" not in name]
    faults = verify(manifest, settings.root, names) + altered_rows(settings, manifest, relations)
    if faults:
        raise FvrecError(
            f"what stage {manifest.stage} made is no longer there as it was: {'; '.join(faults)}",
            where=settings.root,
            allowed="`fvrec run` makes it again",
        )
    made = {**manifest.outputs, **manifest.warehouse}
    return {name: made.get(name, NO_ROWS) for name in names}


def _plain(value: Any) -> Any:
    """The value as a manifest file gives it back: tuples are lists, paths are text."""
    return json.loads(json.dumps(value, default=str))


def _is_transient(_task: Any, _run: TaskRun, state: State[Any]) -> bool:
    """Retry what a second try may mend: the machine's own trouble with a file or a connection."""
    try:
        state.result()
    except BaseException as error:
        return any(_may_pass(cause) for cause in _causes(error))
    return False


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was raised from: users get an FvrecError, the system's own error stands behind it."""
    while error is not None:
        yield error
        error = error.__cause__


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return not isinstance(error, LASTING) and error.errno not in LASTING_NUMBERS
    number = _system_error(error)
    return is_io_trouble(error) if number is None else number not in LASTING_NUMBERS
