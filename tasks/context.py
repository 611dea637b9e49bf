"""What a stage's work sees while it runs: settings, upstream manifests, staged places, and its row in ``runs``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from fvrec.artifacts import Manifest, digest_listing, digest_tree, output_name, remove, temporary_name
from fvrec.artifacts import replace as put_in_place
from fvrec.config import Settings
from fvrec.errors import FvrecError
from fvrec.records import Metric, Run, utc_now
from tasks.lineage import KEY, lineage
from warehouse import db, write
from warehouse.read import Warehouse


def new_run_id(stage: str, moment: datetime) -> str:
    """A name for one execution that sorts by time within its stage."""
    return f"{stage}-{moment:%Y%m%dT%H%M%S}-{uuid4().hex[:6]}"


@dataclass
class Context:
    """One execution of one stage."""

    stage: str
    flow: str
    settings: Settings
    upstream: Mapping[str, Manifest]
    config: Mapping[str, Any]
    code: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    run_id: str = ""
    made: dict[str, str] = field(default_factory=dict)
    """Digests of outputs and relations, once they are in place; kept in the run's row."""
    saved_metrics: list[Metric] = field(default_factory=list)
    _staged: dict[Path, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.run_id = self.run_id or new_run_id(self.stage, utc_now())

    @property
    def database(self) -> Path:
        return self.settings.database

    @property
    def warehouse(self) -> Warehouse:
        """The live warehouse, opened for the length of each call."""
        return Warehouse(self.settings.database)

    def run_of(self, stage: str) -> str:
        """Run id of an upstream stage that this one declared as needed."""
        return self.upstream[stage].run_id

    def build(self, path: Path) -> Path:
        """A name beside ``path`` to write under; it is moved into place when the stage's work has ended well."""
        temporary = temporary_name(path)
        try:
            temporary.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FvrecError(f"cannot write: {error.strerror or error}", where=path.parent) from error
        self._staged[path] = temporary
        return temporary

    def save_metrics(self, metrics: Sequence[Metric]) -> None:
        """Write this run's metrics, with source, preset and seed filled in where the library left them open."""
        settings = self.settings
        filled = [
            replace(
                row,
                source=row.source or settings.source,
                preset=row.preset or settings.preset,
                seed=settings.seed if row.seed < 0 else row.seed,
            )
            for row in metrics
        ]
        self.saved_metrics.extend(filled)
        write.save_metrics(self.database, self.run_id, filled)

    def place(self, outputs: Sequence[Path]) -> None:
        """Move what was built into place; FvrecError when an announced output is not there."""
        for path, temporary in self._staged.items():
            put_in_place(temporary, path)
        missing = [path for path in outputs if not path.exists()]
        if missing:
            raise FvrecError(f"stage {self.stage} did not write an output it announced", where=missing[0])

    def output_digests(self, outputs: Sequence[Path]) -> dict[str, str]:
        """Path as the manifest names it -> digest."""
        return {output_name(path, self.settings.root): digest_tree(path) for path in outputs}

    def listing_digests(self, folders: Sequence[Path]) -> dict[str, str]:
        """The same of folders that are only listed; one that was not made is left out."""
        made = [path for path in folders if path.is_dir() and not path.is_symlink()]
        return {output_name(path, self.settings.root): digest_listing(path) for path in made}

    @contextmanager
    def running(self, *, recorded: bool = True) -> Iterator[None]:
        """Keep this execution's row in ``runs``: running, then complete or failed. What was staged is cleared away."""
        if recorded:
            db.migrate(self.database)
        run = self._run_row()
        if self.database.exists():
            self._close_abandoned()
        if recorded:
            write.save_run(self.database, run)
        try:
            yield
        except BaseException:
            if recorded:
                write.clear_run(self.database, self.run_id)
                write.save_run(self.database, replace(run, finished_at=self._moment(), status="failed"))
            raise
        finally:
            for temporary in self._staged.values():
                remove(temporary)
        if recorded:
            config = {**run.config, KEY: lineage(self.config, self.inputs, self.made)}
            write.save_run(self.database, replace(run, config=config, finished_at=self._moment(), status="complete"))

    def _close_abandoned(self) -> None:
        """Mark as failed what a killed process left as running, and clear its rows; see ``tasks/lock.py``."""
        for run in self.warehouse.runs():
            if run.status == "running":
                write.clear_run(self.database, run.run_id)
                write.save_run(self.database, replace(run, finished_at=self._moment(), status="failed"))

    def _moment(self) -> datetime:
        """Now; just after the newest moment on record where the clock was set back: the newest run is found by it."""
        runs = self.warehouse.runs() if self.database.exists() else []
        newest = max((run.finished_at or run.started_at for run in runs), default=None)
        now = utc_now()
        return now if newest is None or newest < now else newest + timedelta(microseconds=1)

    def _run_row(self) -> Run:
        settings = self.settings
        raw = None if settings.raw is None else str(settings.raw)
        config = {**self.config, "seed": settings.seed, "limit": settings.limit, "raw": raw}
        return Run(
            run_id=self.run_id,
            flow=self.flow,
            stage=self.stage,
            preset=settings.preset,
            source=settings.source,
            code_version=self.code,
            config=config,
            started_at=self._moment(),
        )


def warehouse_rows(settings: Settings, run_id: str, source_relations: Sequence[str]) -> dict[str, str]:
    """relation -> fingerprint of what a run wrote, relations without any row left out; empty without a warehouse."""
    if not settings.database.exists():
        return {}
    warehouse = Warehouse(settings.database)
    of_source = warehouse.fingerprint_source(settings.source, source_relations) if source_relations else {}
    return _with_rows({**warehouse.fingerprint(run_id), **of_source})


def altered_rows(settings: Settings, manifest: Manifest, relations: Sequence[str]) -> list[str]:
    """One sentence for each of these relations whose rows are not what the manifest's run left; others are not read."""
    found: dict[str, str] = {}
    if settings.database.exists():
        warehouse = Warehouse(settings.database)
        of_source = warehouse.fingerprint_source(settings.source, relations)
        found = _with_rows({**warehouse.fingerprint(manifest.run_id, relations), **of_source})
    return [f"{name} was altered" for name in relations if found.get(name) != manifest.warehouse.get(name)]


def _with_rows(fingerprints: Mapping[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in fingerprints.items() if not digest.startswith("0:")}
