"""Where stages put what they make, and how others ask for it. Imports no stage: an edit of one re-runs no other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fvrec.artifacts import digest_tree, output_name
from fvrec.config import Settings
from fvrec.errors import FvrecError
from fvrec.records import MODELS, Inputs, Mode
from warehouse.read import Warehouse

ITEM_RELATIONS = ("items", "item_attributes")
LABELLED = (*ITEM_RELATIONS, "metrics")
"""Items, and the ingest's word on which fields their source truly labels."""
TOWER = "tower"
"""The stage that tunes the vision tower."""
SERVED_MODEL = "lora"
SERVED_INPUTS: Inputs = "image_title"
"""What a shop has of a product: rerank, RL and the page use what the main model read from both."""
SERVED_MODE: Mode = "constrained"
"""Valid by construction, with confidences that were calibrated on val."""


def supervised_fields(warehouse: Warehouse, ingest_run: str) -> tuple[str, ...]:
    """The fields that the source labels, as the ingest wrote it down; only these are scored."""
    rows = warehouse.metrics(run_id=ingest_run)
    return tuple(row.field for row in rows if row.metric == "supervised" and row.value == 1.0)


def sft_file(settings: Settings, name: str) -> Path:
    """``data/sft/{train,eval,test}.jsonl``."""
    return settings.sft_dir / f"{name}.jsonl"


def tokenizer_dir(settings: Settings) -> Path:
    return settings.models / "tokenizer"


def base_dir(settings: Settings) -> Path:
    return settings.models / "base"


def feature_dir(settings: Settings) -> Path:
    return settings.cache / "features"


def tower_dir(settings: Settings) -> Path:
    """Where the tuned tower lies. FvrecError when the preset's cannot be tuned."""
    place = settings.tower_weights(settings.budget.tuned().tower_name)
    if place is None:
        raise FvrecError("a tuned tower has no place", found=settings.budget.tower)
    return place


def tuned_digest(settings: Settings) -> Mapping[str, str]:
    """What a stage behind the tuned tower has read of it; nothing where the tower is not tuned."""
    if not settings.budget.tuning:
        return {}
    place = tower_dir(settings)
    if not place.is_dir():
        raise FvrecError("the tower is not tuned yet", where=place, allowed="`fvrec run` makes every stage in order")
    return {f"{TOWER}:{relative(place, settings)}": digest_tree(place)}


def adapter_dir(settings: Settings, model: str) -> Path | None:
    """Where a model's adapter lies; None for the base, which has none. FvrecError on an unknown model."""
    places = {"base": None, "sft": settings.adapters / "sft", "lora": settings.adapters / "sft_lora"}
    if model not in places:
        raise FvrecError("unknown model", found=model, allowed=MODELS)
    return places[model]


def calibration_file(settings: Settings, model: str) -> Path:
    """Where the temperatures and thresholds of a model lie; whoever loads the model finds them there."""
    folder = adapter_dir(settings, model) or base_dir(settings)
    return settings.outputs / "calibration" / f"{folder.name}.json"


def relative(path: Path, settings: Settings) -> str:
    """The name of an output in manifests."""
    return output_name(path, settings.root)
