"""The tower's last blocks fitted to the train split, for presets and settings that ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fvrec.artifacts import atomic_write, digest_tree, remove
from fvrec.config import TUNED, Settings
from fvrec.errors import FvrecError, SanityError
from fvrec.records import CurvePoint, Metric
from tasks.context import Context
from tasks.places import LABELLED, supervised_fields
from tasks.progress import bar
from tasks.stage import stage
from tasks.threads import fitting_threads
from warehouse import write

if TYPE_CHECKING:
    from fvrec.vlm.tower_tuning import TuningOutcome

STAGE = "tower"
MADE = "outputs/models/tower"


def tower_dir(settings: Settings) -> Path:
    """Where the tuned tower lies."""
    place = settings.tower_weights(settings.budget.tower + TUNED)
    if place is None:
        raise FvrecError("this tower cannot be tuned", found=settings.budget.tower)
    return place


def tuned_digest(settings: Settings) -> Mapping[str, str]:
    """What a stage that needs the tuned tower has read of it; nothing where the tower is not tuned."""
    if not settings.budget.tuning:
        return {}
    place = tower_dir(settings)
    if not place.is_dir():
        raise FvrecError("the tower is not tuned yet", where=place, allowed="`fvrec run` makes every stage in order")
    return {f"{STAGE}:{MADE}": digest_tree(place)}


def _config(settings: Settings) -> Mapping[str, Any]:
    plan = settings.budget.tuning
    return {"tower": settings.budget.tower, "tuning": None if plan is None else asdict(plan), "seed": settings.seed}


@stage(STAGE, flow="sft", outputs=lambda settings: [tower_dir(settings)], config=_config, needs={"ingest": LABELLED})
def tower(context: Context) -> None:
    """The last blocks of the vision tower, learned from the labels of the train split; val keeps the best epoch."""
    from fvrec.vlm.tower_tuning import LabelledPhotos, TuningEpoch, tune_tower

    settings = context.settings
    plan = settings.budget.tuning
    if plan is None:
        raise FvrecError("nothing says how to tune the tower", allowed="FVREC_TUNE_TOWER=1")
    photos = LabelledPhotos(
        train=context.warehouse.items(settings.source, ["train"]),
        val=context.warehouse.items(settings.source, ["val"]),
        root=settings.root,
        fields=supervised_fields(context.warehouse, context.run_of("ingest")),
    )
    lines: list[str] = []

    def log(epoch: TuningEpoch) -> None:
        fields = ", ".join(f"{name} {value:.3f}" for name, value in epoch.by_field.items())
        lines.append(f"epoch {epoch.number}: loss {epoch.loss:.4f}, val accuracy {epoch.accuracy:.4f} ({fields})\n")
        atomic_write(settings.logs / "train_tower.log", "".join(lines))

    work = settings.resume / STAGE
    with fitting_threads(settings):
        outcome = tune_tower(
            settings.budget.tower, photos, plan, seed=settings.seed, output=context.build(tower_dir(settings)),
            work=work, progress=bar("tune the tower"), log=log,
        )  # fmt: skip
    _check_learned(outcome)
    write.save_curves(context.database, context.run_id, _curve(outcome))
    context.save_metrics(_metrics(outcome))
    remove(work)


def _curve(outcome: TuningOutcome) -> list[CurvePoint]:
    return [
        CurvePoint(STAGE, name, float(epoch.number), value)
        for epoch in outcome.epochs
        for name, value in (("loss", epoch.loss), ("val_accuracy", epoch.accuracy))
    ]


def _metrics(outcome: TuningOutcome) -> list[Metric]:
    best = outcome.epochs[outcome.best - 1]
    told = {"best_epoch": float(outcome.best), "trainable_parameters": float(outcome.trainable_parameters)}
    rows = [Metric(STAGE, name, value, split="train", n=len(outcome.epochs)) for name, value in told.items()]
    rows += [Metric(STAGE, "val_accuracy", value, split="val", field=name) for name, value in best.by_field.items()]
    return [*rows, Metric(STAGE, "val_accuracy", best.accuracy, split="val")]


def _check_learned(outcome: TuningOutcome) -> None:
    first, last = outcome.epochs[0].loss, outcome.epochs[-1].loss
    if len(outcome.epochs) > 1 and not last < first:
        raise SanityError("tuning did not lower the loss", where=f"stage {STAGE}", found=last, allowed=f"< {first}")
