"""Every row type that crosses a room's wall, as frozen dataclasses without torch.

A record's field names are the column names of its warehouse relation (see ``warehouse/migrations``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as column  # ``field`` is a column name here
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Origin = Literal["source", "rule", "unknown"]
Split = Literal["train", "val", "test", "excluded"]
ModelName = Literal["base", "sft", "lora"]
Inputs = Literal["image", "title", "image_title"]
Mode = Literal["raw", "constrained"]

SPLITS: tuple[Split, ...] = ("train", "val", "test", "excluded")
MODELS: tuple[ModelName, ...] = ("base", "sft", "lora")
INPUTS: tuple[Inputs, ...] = ("image", "title", "image_title")


def utc_now() -> datetime:
    """The present instant, timezone-aware, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class AttributeValue:
    """One field's value with where it came from: the source's own column, a rule on its text, or nowhere."""

    value: str
    origin: Origin


@dataclass(frozen=True)
class Item:
    """One validated product. ``attributes`` holds all ten fields; ``image_path`` is under the root or absolute.

    group_key: the source's name of the design. image_phash: perceptual hash as hex, empty for a photo of one flat tone.
    row_digest: of what the source said of it, to notice a change. vanished_at: when an ingest no longer found it.
    left_out_at: when an ingest with a limit did not draw it.
    """

    item_id: str
    source: str
    group_id: str
    split: Split
    image_path: str
    image_sha256: str
    title: str
    description: str
    raw: Mapping[str, Any]
    attributes: Mapping[str, AttributeValue]
    ingested_at: datetime = column(default_factory=utc_now, compare=False)
    group_key: str = ""
    image_phash: str = ""
    row_digest: str = column(default="", compare=False)
    vanished_at: datetime | None = column(default=None, compare=False)
    left_out_at: datetime | None = column(default=None, compare=False)

    @property
    def values(self) -> dict[str, str]:
        """field -> value, without the origins."""
        return {name: attribute.value for name, attribute in self.attributes.items()}


@dataclass(frozen=True, slots=True)
class Placed:
    """What earlier ingests made of one item: where it went, and by which traits another item may belong to it.

    vanished: the newest ingest did not find it any more. left_out: the newest one had a limit and did not draw it.
    """

    group_id: str
    split: Split
    group_key: str
    image_sha256: str
    image_phash: str
    row_digest: str
    vanished: bool
    left_out: bool = False


@dataclass(frozen=True)
class Quarantined:
    """A rejected row or file. ``reason`` is a short machine word (``image_missing``, ``image_unreadable`` …)."""

    source: str
    path: str
    reason: str
    detail: str
    seen_at: datetime = column(default_factory=utc_now, compare=False)


@dataclass(frozen=True)
class Run:
    """One execution of one stage."""

    run_id: str
    flow: str
    stage: str
    preset: str
    source: str
    code_version: str
    config: Mapping[str, Any]
    started_at: datetime
    finished_at: datetime | None = None
    status: Literal["running", "complete", "failed"] = "running"


@dataclass(frozen=True)
class Prediction:
    """One model's answer for one item and one input variant, with the text it wrote and the judgement on it.

    ``attributes`` and ``confidence`` are empty unless ``schema_valid``.
    """

    item_id: str
    model: str
    inputs: str
    mode: str
    raw_output: str
    json_valid: bool
    schema_valid: bool
    error: str = ""
    error_class: str = ""
    attributes: Mapping[str, str] = column(default_factory=dict)
    confidence: Mapping[str, float] = column(default_factory=dict)


@dataclass(frozen=True)
class Extraction:
    """What the newest complete run that holds a variant (model, inputs, mode) of a source has read in one split.

    ``items``: how many it was asked about; ``valid``: for how many its answer obeys the schema.
    """

    run_id: str
    source: str
    preset: str
    model: str
    inputs: str
    mode: str
    split: Split
    items: int
    valid: int


@dataclass(frozen=True)
class Metric:
    """One number of a report. Absent dimensions are empty strings (``k``, ``seed``: -1; intervals: None)."""

    stage: str
    metric: str
    value: float
    source: str = ""
    split: str = ""
    preset: str = ""
    model: str = ""
    strategy: str = ""
    inputs: str = ""
    mode: str = ""
    seed: int = -1
    slice: str = ""
    field: str = ""
    k: int = -1
    params: Mapping[str, Any] = column(default_factory=dict)
    ci_low: float | None = None
    ci_high: float | None = None
    n: int = 0


@dataclass(frozen=True)
class Confusion:
    """How often ``true_value`` was read as ``predicted_value``."""

    model: str
    inputs: str
    mode: str
    split: str
    field: str
    true_value: str
    predicted_value: str
    n: int


@dataclass(frozen=True)
class CurvePoint:
    """One point of a named curve (a loss curve, a trade-off sweep)."""

    stage: str
    curve: str
    x: float
    y: float
    params: Mapping[str, Any] = column(default_factory=dict)


@dataclass(frozen=True)
class Ranking:
    """One position (the best is 1) of one ranked list. ``evidence``: field -> the value that the explanation cites."""

    query_id: str
    strategy: str
    position: int
    item_id: str
    score: float
    explanation: str = ""
    evidence: Mapping[str, Any] = column(default_factory=dict)


@dataclass(frozen=True)
class User:
    """A user of the list-level simulation: true preferences and the noisy estimate that rankers see.

    ``preferences`` and ``estimate``: field -> value -> weight (non-negative, each field sums to 1).
    """

    user_id: str
    source: str
    split: Split
    preferences: Mapping[str, Mapping[str, float]]
    estimate: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Interaction:
    """One purchase (or like) of one user."""

    user_id: str
    item_id: str
    source: str
    kind: str
    at: datetime


@dataclass(frozen=True)
class Embedding:
    """A vector of an item under a named model."""

    item_id: str
    model: str
    vector: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class CandidateSet:
    """What a store offers for one question: ``N`` items with what a model read on them, row by row.

    ``attributes[i]`` and ``confidence[i]`` are the predicted values of ``items[i]`` (all ten fields; everything
    ``unknown`` with confidence 0 where the model gave no valid answer). ``embeddings``: ``[N, D]`` float32, rows of
    length 1, or of length 0 where none is stored (``D`` is 0 where nothing is).
    """

    item_ids: tuple[str, ...]
    items: Sequence[Item]
    attributes: Sequence[Mapping[str, str]]
    confidence: Sequence[Mapping[str, float]]
    embeddings: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.item_ids)
