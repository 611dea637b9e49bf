"""Where the stages of the VLM put what they make, and in which form other stages ask for it."""

from __future__ import annotations

from pathlib import Path

from fvrec.config import Settings
from fvrec.errors import FvrecError
from fvrec.records import MODELS

TOWER = "lite0"
ITEM_RELATIONS = ("items", "item_attributes")


def sft_file(settings: Settings, name: str) -> Path:
    """``data/sft/{train,eval,test}.jsonl``."""
    return settings.sft_dir / f"{name}.jsonl"


def tokenizer_dir(settings: Settings) -> Path:
    return settings.models / "tokenizer"


def base_dir(settings: Settings) -> Path:
    return settings.models / "base"


def feature_dir(settings: Settings) -> Path:
    return settings.cache / "features"


def adapter_dir(settings: Settings, model: str) -> Path | None:
    """Where a model's adapter lies; None for the base, which has none. FvrecError on an unknown model."""
    places = {"base": None, "sft": settings.adapters / "sft", "lora": settings.adapters / "sft_lora"}
    if model not in places:
        raise FvrecError("unknown model", found=model, allowed=MODELS)
    return places[model]


def relative(path: Path, settings: Settings) -> str:
    """The name of an output in manifests."""
    return path.relative_to(settings.root).as_posix()
