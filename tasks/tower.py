"""The tower's last blocks fitted to the train split, for presets and settings that ask for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fvrec.artifacts import atomic_write, remove
from fvrec.config import Settings
from fvrec.errors import FvrecError, SanityError
from fvrec.records import CurvePoint, Metric
from tasks.context import Context
from tasks.places import LABELLED, TOWER, supervised_fields, tower_dir
from tasks.progress import bar
from tasks.stage import stage
from tasks.threads import fitting_threads
from warehouse import write

if TYPE_CHECKING:
    from fvrec.vlm.tower_tuning import TuningEpoch, TuningOutcome


def _config(settings: Settings) -> Mapping[str, Any]:
    plan = settings.budget.tuning
    return {"tower": settings.budget.tower, "tuning": None if plan is None else asdict(plan), "seed": settings.seed}


@stage(TOWER, flow="sft", outputs=lambda settings: [tower_dir(settings)], config=_config, needs={"ingest": LABELLED})
def tower(context: Context) -> None:
    """The last blocks of the vision tower, learned from the labels of the train split; val keeps the best epoch."""
    from fvrec.vlm.tower_tuning import LabelledPhotos, tune_tower

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
    work = settings.resume / TOWER
    with fitting_threads(settings):
        outcome = tune_tower(
            settings.budget.tower, photos, plan, seed=settings.seed, output=context.build(tower_dir(settings)),
            work=work, progress=bar("tune the tower"), log=lambda epochs: _log(settings, epochs),
        )  # fmt: skip
    _check_learned(outcome)
    write.save_curves(context.database, context.run_id, _curve(outcome))
    context.save_metrics(_metrics(outcome))
    remove(work)


def _log(settings: Settings, epochs: Sequence[TuningEpoch]) -> None:
    """``outputs/logs/train_tower.log``: a line an epoch, those of before an interruption among them."""
    lines = []
    for epoch in epochs:
        fields = ", ".join(f"{name} {value:.3f}" for name, value in epoch.by_field.items())
        lines.append(f"epoch {epoch.number}: loss {epoch.loss:.4f}, val accuracy {epoch.accuracy:.4f} ({fields})\n")
    atomic_write(settings.logs / "train_tower.log", "".join(lines))


def _curve(outcome: TuningOutcome) -> list[CurvePoint]:
    return [
        CurvePoint(TOWER, name, float(epoch.number), value)
        for epoch in outcome.epochs
        for name, value in (("loss", epoch.loss), ("val_accuracy", epoch.accuracy))
    ]


def _metrics(outcome: TuningOutcome) -> list[Metric]:
    best = outcome.epochs[outcome.best - 1]
    told = {"best_epoch": float(outcome.best), "trainable_parameters": float(outcome.trainable_parameters)}
    rows = [Metric(TOWER, name, value, split="train", n=len(outcome.epochs)) for name, value in told.items()]
    rows += [Metric(TOWER, "val_accuracy", value, split="val", field=name) for name, value in best.by_field.items()]
    return [*rows, Metric(TOWER, "val_accuracy", best.accuracy, split="val")]


def _check_learned(outcome: TuningOutcome) -> None:
    first, last = outcome.epochs[0].loss, outcome.epochs[-1].loss
    if len(outcome.epochs) > 1 and not last < first:
        raise SanityError("tuning did not lower the loss", where=f"stage {TOWER}", found=last, allowed=f"< {first}")
