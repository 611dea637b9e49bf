"""What a root holds: whether it is sound at any moment, and whether it is what a run that nobody killed leaves."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fvrec.artifacts import Manifest, verify
from fvrec.config import DRAWN, Settings
from tasks.leftovers import LOG
from tasks.report import REPORTED
from warehouse.read import Warehouse

STAGES = (*REPORTED, "reports", "publish")
"""In the order in which they run."""
EXACT = ("ingest", "sft_data", "features")
"""Stages without training: files and rows to the last byte, whatever was killed."""
TOLERANCE = 1e-3
"""Of numbers that hang on a training: relative, or absolute below 1."""
_CLOCKED = {"samples_per_second", "tokens_per_second", "resumed_from"}
"""Metrics that a clock decides, or the kill itself."""
_KEYS = {
    "items": "source, item_id",
    "item_attributes": "source, item_id, field",
    "runs": "run_id",
    "predictions": "run_id, item_id, model, inputs, mode",
    "predicted_attributes": "run_id, item_id, model, inputs, mode, field",
    "metrics": "run_id, stage, source, split, preset, model, strategy, inputs, mode, seed, slice, field, metric, k, "
    "params",
    "confusions": "run_id, model, inputs, mode, split, field, true_value, predicted_value",
    "rankings": "run_id, query_id, strategy, position",
    "users": "source, user_id",
    "embeddings": "source, item_id, model",
}
_OF_RUNS = ("predictions", "predicted_attributes", "metrics", "confusions", "curves", "rankings")
_RANDOM = (
    (re.compile(r"shard-[0-9a-f]{32}"), "shard-N"),
    (re.compile(r"events\.out\.tfevents\.[\w.-]+"), "events.N"),  # TensorBoard's: time, machine, process
    (re.compile(r"snapshot-\d{8}T\d{6}Z-\d{6}"), "snapshot-N"),
)
_UNFINISHED = re.compile(r"\.partial|\.tmp$|\.new$|\.wal$|^\.drawing$")


def settings_of(root: Path, limit: int = 0) -> Settings:
    """Those that the pipeline of the drills runs with."""
    return Settings(root=root, preset="smoke", limit=limit or None)


def faults_now(root: Path, limit: int = 0) -> list[str]:
    """What is wrong with a root right after a kill: databases that do not open, keys that are there twice, a manifest
    that names what is not there."""
    settings = settings_of(root, limit)
    found = []
    for path in (settings.database, settings.snapshot):
        if path.exists() or path.is_symlink():
            found += [f"{path.name}: {fault}" for fault in _faults_of_database(path)]
    for manifest in manifests(settings).values():
        found += [f"{manifest.stage}: {fault}" for fault in verify(manifest, root)]
        rows = _rows(settings, manifest)
        found += [f"{manifest.stage}: rows of {name}" for name, is_ in manifest.warehouse.items() if rows[name] != is_]
    return found


def _faults_of_database(path: Path) -> Iterator[str]:
    warehouse = Warehouse(path)
    for relation, key in _KEYS.items():
        sql = f"SELECT count(*) FROM (SELECT {key} FROM {relation} GROUP BY ALL HAVING count(*) > 1)"
        ((repeated,),) = warehouse.query(sql).rows
        if repeated:
            yield f"{repeated} keys of {relation} are there twice"
    if path.is_symlink():
        for relation in _OF_RUNS:
            ((stray,),) = warehouse.query(
                f"""
                SELECT count(*) FROM {relation}
                WHERE run_id NOT IN (SELECT run_id FROM runs WHERE status = 'complete')
                """
            ).rows
            if stray:
                yield f"{stray} rows of {relation} belong to no complete run"


def manifests(settings: Settings) -> dict[str, Manifest]:
    """stage -> manifest, of those that say they are complete."""
    found = {stage: Manifest.read(settings.manifests / f"{stage}.json") for stage in STAGES}
    return {stage: manifest for stage, manifest in found.items() if manifest is not None}


def _rows(settings: Settings, manifest: Manifest) -> dict[str, str]:
    warehouse, names = Warehouse(settings.database), list(manifest.warehouse)
    return {**warehouse.fingerprint_source(DRAWN, names), **warehouse.fingerprint(manifest.run_id, names)}


@dataclass(frozen=True)
class Kept:
    """What is compared. exact: name -> digest of what no training touches. numbers: metric -> value. files: names.
    read: manifests' input digests of the stages in ``EXACT``. statuses: how many complete runs each stage has."""

    exact: Mapping[str, str]
    numbers: Mapping[str, float]
    files: tuple[str, ...]
    configs: Mapping[str, str]

    @classmethod
    def of(cls, root: Path, limit: int = 0) -> Kept:
        """Of a root whose pipeline has ended well."""
        settings = settings_of(root, limit)
        complete = manifests(settings)
        exact = {
            f"{stage}: {name}": digest
            for stage in EXACT
            if stage in complete
            for name, digest in {**complete[stage].outputs, **complete[stage].warehouse}.items()
            if name != "metrics"
        }
        splits = Warehouse(settings.database).query("SELECT item_id, split FROM items ORDER BY ALL").rows
        exact["splits"] = json.dumps(splits)
        configs = {
            stage: json.dumps([one.config, one.code], sort_keys=True, default=str) for stage, one in complete.items()
        }
        return cls(exact, _numbers(settings), _files(root), configs)

    def differences(self, other: Kept) -> list[str]:
        """One sentence for each way in which ``other`` is not the same."""
        found = [
            f"{name} differs"
            for name in sorted({*self.exact, *other.exact})
            if self.exact.get(name) != other.exact.get(name)
        ]
        found += [f"manifest of {name} differs" for name in STAGES if self.configs.get(name) != other.configs.get(name)]
        for name in sorted({*self.numbers, *other.numbers}):
            mine, its = self.numbers.get(name), other.numbers.get(name)
            if mine is None or its is None or not _alike(mine, its):
                found.append(f"{name}: {mine} and {its}")
        found += [f"file only in one: {name}" for name in sorted({*self.files} ^ {*other.files})]
        return found

    def as_dict(self) -> dict[str, Any]:
        return {
            "exact": dict(self.exact),
            "numbers": dict(self.numbers),
            "files": list(self.files),
            "configs": dict(self.configs),
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Kept:
        return cls(body["exact"], body["numbers"], tuple(body["files"]), body["configs"])


def _alike(mine: float, its: float) -> bool:
    """A number that is not defined (no value of a field is frequent enough) is so in both."""
    return (math.isnan(mine) and math.isnan(its)) or math.isclose(mine, its, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _numbers(settings: Settings) -> dict[str, float]:
    """Every metric of the newest complete run of every stage."""
    found: dict[str, float] = {}
    for stage, manifest in manifests(settings).items():
        for row in Warehouse(settings.database).metrics(run_id=manifest.run_id):
            if row.metric not in _CLOCKED:
                place = (
                    row.split,
                    row.model,
                    row.strategy,
                    row.inputs,
                    row.mode,
                    row.slice,
                    row.field,
                    row.k,
                    dict(row.params),
                )
                found[f"{stage} {row.metric} {place}"] = row.value
    return found


def _files(root: Path) -> tuple[str, ...]:
    """Names of all files, what is drawn at random in them levelled.

    Left out: Prefect's own, the log of the sweeps, and which photos are known (those that had settled at an ingest).
    """
    names = set()
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if not path.is_dir() and not name.startswith((".prefect/", "data/cache/photos/")) and path.name != LOG:
            for pattern, level in _RANDOM:
                name = pattern.sub(level, name)
            names.add(name)
    return tuple(sorted(names))


def faults_at_the_end(root: Path, limit: int = 0, stages: Sequence[str] = STAGES) -> list[str]:
    """What must not be there when the pipeline has ended well: anything unfinished, a run without end, a stale copy."""
    settings = settings_of(root, limit)
    found = faults_now(root, limit)
    found += [
        f"left behind: {path.relative_to(root)}"
        for path in root.rglob("*")
        if ".prefect" not in path.parts and _UNFINISHED.search(path.name)
    ]
    found += [f"stage {stage} is not complete" for stage in stages if stage not in manifests(settings)]
    live, published = Warehouse(settings.database), Warehouse(settings.snapshot)
    found += [f"run {run.run_id} is {run.status}" for run in live.runs() if run.status == "running"]
    for relation in _KEYS:
        count = f"SELECT count(*), bit_xor(hash(t)) FROM {relation} AS t"
        if live.query(count).rows != published.query(count).rows:
            found.append(f"{relation} is not the same live and published")
    return found


def leftovers(root: Path) -> list[str]:
    """Unfinished files that a kill has left, as the sweep's log names them."""
    return sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if ".prefect" not in path.parts and ".partial" in path.name
    )


def reported(root: Path) -> set[str]:
    """What sweeps have said that they removed."""
    log = settings_of(root).logs / LOG
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return {line.split(" ", 1)[1] for line in lines}
