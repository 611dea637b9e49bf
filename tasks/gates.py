"""The look at 30 samples of what a model writes, done by the machine: after its training, and after an extraction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from fvrec.config import Settings
from fvrec.errors import SanityError
from fvrec.records import Prediction

Row = TypeVar("Row")

SAMPLES = 30
REQUIRED_VALID = {"sft": 0.5, "lora": 0.8}
"""Share of 30 answers that must be in the schema; the base never saw JSON and is exempt."""
EXEMPT = {("smoke", "sft")}
"""Preset and model: too few steps for the few weights of E1 to learn JSON. E2 is gated there too."""


def sample(rows: Sequence[Row], seed: int) -> list[Row]:
    """30 of the rows, or all when there are fewer; the same seed takes the same ones."""
    size = min(SAMPLES, len(rows))
    return [rows[i] for i in np.random.default_rng(seed).choice(len(rows), size=size, replace=False)]


def check_captions(captions: Sequence[str]) -> None:
    """SanityError when a caption is empty, or when 30 photos are all called the same."""
    if not all(caption.strip() for caption in captions):
        raise SanityError("the model wrote an empty caption", where="model base")
    if len(captions) == SAMPLES and len(set(captions)) == 1:
        raise SanityError("all sampled captions are the same", found=captions[0], where="model base")


def check_answers(predictions: Sequence[Prediction], model: str, settings: Settings) -> None:
    """SanityError unless, of 30 answers, enough obey the schema and not all say the same.

    Who cannot know JSON is exempt.
    """
    if model not in REQUIRED_VALID or (settings.preset, model) in EXEMPT:
        return
    chosen = sample(predictions, settings.seed)
    share = sum(one.schema_valid for one in chosen) / len(chosen)
    if share < REQUIRED_VALID[model]:
        raise SanityError(
            "too few answers are in the schema",
            where=f"model {model}",
            found=share,
            allowed=f">= {REQUIRED_VALID[model]}",
        )
    if len(chosen) == SAMPLES and len({tuple(one.attributes.values()) for one in chosen if one.schema_valid}) == 1:
        raise SanityError("all sampled answers are the same", where=f"model {model}")
