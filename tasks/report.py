"""Reports: warehouse rows in, ``reports/`` out. And publication: the snapshot that everybody else reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fvrec.artifacts import Manifest, atomic_write, digest_tree
from fvrec.config import TUNED, Settings, get_preset
from fvrec.errors import FvrecError, SanityError
from fvrec.records import Run
from fvrec.report import EXTRACTION_MODELS, ReportData, draw_all, render_all
from fvrec.report_figures import EVIDENCE, RELIABILITY, render_figures
from fvrec.report_rl import LISTS, TRADE_OFFS, render_rl
from tasks.context import Context
from tasks.lineage import check_lineage, made_by
from tasks.places import TOWER
from tasks.record import command_of
from tasks.stage import stage
from warehouse import db
from warehouse.connect import require_database
from warehouse.read import Warehouse
from warehouse.upgrade import VIEWS

REPORTED = (
    *("ingest", "sft_data", "tower", "features", "pretrain", "sft", "lora"),
    *(f"extract_{model}" for model in EXTRACTION_MODELS),
    *("rerank", "rl"),
)
"""Stages whose rows the reports are made of, in the order in which they run."""
FILES = (
    *("data_profile.md", "extraction_compare.md", "extraction_cases_base.md"),
    *(f"extraction_{model}.json" for model in EXTRACTION_MODELS),
    *(RELIABILITY, EVIDENCE, LISTS, TRADE_OFFS),
    *("rerank_report.md", "rl_report.md", "README_run.md"),
)
PICTURES = ("data_profile_rows.png", "data_profile_fields.png")


def _manifest_runs(settings: Settings) -> Mapping[str, str]:
    """stage -> run id, of what is complete: the reports name the runs, so a new run makes new reports."""
    found = {name: Manifest.read(settings.manifests / f"{name}.json") for name in (*REPORTED, "reports")}
    return {f"run:{name}": manifest.run_id for name, manifest in found.items() if manifest is not None}


def _reported_runs(settings: Settings) -> Mapping[str, str]:
    return {name: run for name, run in _manifest_runs(settings).items() if name != "run:reports"}


def _published(settings: Settings) -> Mapping[str, str]:
    """The snapshot also holds the views, which belong to no stage's code."""
    return {**_manifest_runs(settings), "views": digest_tree(VIEWS)}


def collected_runs(settings: Settings) -> dict[str, Run]:
    """stage -> its newest complete run on this source and preset; a stage that has not run yet is left out.

    FvrecError when the source was never ingested, and when these runs or the items do not belong together.
    """
    warehouse = Warehouse(settings.database)
    found = [warehouse.latest_run(name, settings.source, settings.preset) for name in REPORTED]
    runs = {run.stage: run for run in found if run is not None}
    if not _is_tuned(runs):
        runs.pop(TOWER, None)  # of an earlier run: nothing here was made with it
    if "ingest" not in runs:
        raise FvrecError(
            "nothing to report on: run `fvrec run` first",
            where=settings.database,
            found=f"no complete ingest of {settings.source} with preset {settings.preset}",
        )
    mend = command_of(replace(runs["ingest"], flow="run"), as_run(settings, runs))
    check_lineage(runs, mend=mend)
    _check_items(runs["ingest"], warehouse, mend)
    return runs


def as_run(settings: Settings, runs: Mapping[str, Run]) -> Settings:
    """The settings with the image tokens and the tower that these runs were made with, whatever is asked for now."""
    if "features" not in runs:
        return settings
    preset, config = get_preset(settings.preset), runs["features"].config
    pool, tuned = config.get("pool", preset.pool), _is_tuned(runs)
    asked = {
        "pool": None if pool == preset.pool else pool,
        "tune_tower": None if tuned == (preset.tuning is not None) else tuned,
    }
    return settings.model_copy(update=asked)


def _is_tuned(runs: Mapping[str, Run]) -> bool:
    return "features" in runs and TUNED in str(runs["features"].config.get("tower", ""))


def _check_items(ingest: Run, warehouse: Warehouse, mend: str) -> None:
    """FvrecError unless the catalogue is still what this ingest made of it: all presets share a source's items."""
    expected = [row.value for row in warehouse.metrics(run_id=ingest.run_id) if row.metric == "items" and not row.split]
    found = len(warehouse.items(ingest.source))
    made = made_by(ingest, "items")
    altered = made is not None and made != warehouse.fingerprint_source(ingest.source, ("items",))["items"]
    if altered or expected != [found]:
        raise FvrecError(
            f"the items of {ingest.source} are not those of its newest ingest with preset {ingest.preset}",
            where=warehouse.path,
            found=f"{found} items, ingested {', '.join(f'{value:g}' for value in expected) or 'none'}",
            allowed=f"`{mend}` first",
        )


def collect(settings: Settings) -> ReportData:
    """All rows of :func:`collected_runs`. FvrecError as there."""
    runs = collected_runs(settings)
    warehouse = Warehouse(settings.database)
    repeated = as_run(settings, runs)
    return ReportData(
        source=settings.source,
        preset=settings.preset,
        runs=tuple(runs.values()),
        commands={name: command_of(run, repeated) for name, run in runs.items()},
        items={item.item_id: item for item in warehouse.items(settings.source)},
        quarantine=warehouse.quarantine(settings.source),
        metrics=[row for run in runs.values() for row in warehouse.metrics(run_id=run.run_id)],
        predictions={
            model: warehouse.predictions(runs[f"extract_{model}"].run_id)
            for model in EXTRACTION_MODELS
            if f"extract_{model}" in runs
        },
        confusions=[row for run in runs.values() for row in warehouse.confusions(run.run_id)],
        curves=[row for run in runs.values() for row in warehouse.curves(run.run_id)],
        rankings={name: warehouse.rankings(run.run_id) for name, run in runs.items()},
    )


@stage(
    "reports",
    flow="reports",
    outputs=lambda settings: [settings.reports / name for name in (*FILES, *PICTURES)],
    external=_reported_runs,
)
def reports(context: Context) -> None:
    """Every report, and the plots in them, from warehouse rows."""
    data = collect(context.settings)
    for path, content in _rendered(data, context.settings).items():
        atomic_write(context.build(path), content)
    for name, picture in draw_all(data).items():
        atomic_write(context.build(context.settings.reports / name), picture)


def _rendered(data: ReportData, settings: Settings) -> dict[Path, str | bytes]:
    texts = {settings.reports / name: text for name, text in render_all(data).items()}
    empty = [path for path, text in texts.items() if path.suffix == ".md" and len(text.splitlines()) < 5]
    if empty:
        raise SanityError("a report has no content", where=empty[0])
    figures = render_figures(data.curves, data.items, settings.root)
    figures |= render_rl(data.curves, data.rankings.get("rl", ()), data.items, settings.root)
    return {**texts, **{settings.reports / name: picture for name, picture in figures.items()}}


@stage(
    "publish",
    flow="publish",
    outputs=lambda settings: [settings.snapshot],
    external=_published,
    recorded=False,
)
def publish(context: Context) -> None:
    """Copy the live warehouse to a new snapshot and switch the link that readers open."""
    require_database(context.settings.database)
    db.migrate(context.settings.database, views=VIEWS)
    db.publish(context.settings.database, context.settings.snapshot)
