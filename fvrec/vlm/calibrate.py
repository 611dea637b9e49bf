"""Confidence that means what it says: a temperature per input variant and field, and what val shows it to lack.

Temperature scaling (Guo et al. 2017, "On calibration of modern neural networks"): the log-probabilities over a field's
values are divided by T before they are normalised again. Where val shows that this is not enough, the chosen value's
probability is corrected (``fvrec.vlm.correctness``). The value itself stays as decoded; only its confidence moves.
Abstention: below a threshold the answer becomes ``unknown``, which costs recall and not precision.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from dataclasses import field as column  # ``field`` is an attribute's name here
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from fvrec.artifacts import atomic_write, digest_bytes, digest_file, digest_json
from fvrec.errors import FvrecError
from fvrec.records import Prediction
from fvrec.schema import SCHEMA_VERSION, UNKNOWN, VALUES
from fvrec.vlm.bundle import ModelFiles
from fvrec.vlm.correctness import UNCHANGED, Correction
from fvrec.vlm.decoding_types import Decision, Reading

Probabilities = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class FieldCalibration:
    """One field under one input variant.

    threshold: answers below it become ``unknown`` when abstention is asked for; 0 where that did not help on val.
    items: labelled val items it was fitted on. nll_before, nll_after: mean negative log-likelihood of the labels.
    f1_gain: what the threshold adds to the field's F1 on val. correction: from the scaled probability of a named value
    to the confidence; ``unknown`` names none and keeps its probability.
    """

    temperature: float = 1.0
    threshold: float = 0.0
    items: int = 0
    nll_before: float = math.nan
    nll_after: float = math.nan
    f1_gain: float = 0.0
    correction: Correction = UNCHANGED

    def apply(self, name: str, log_probs: Probabilities, greedy: int, *, abstain: bool = False) -> Decision:
        """The value that was decoded and how sure it is; ``unknown`` below the threshold if ``abstain``."""
        scaled = log_softmax(np.asarray(log_probs, dtype=np.float64) / self.temperature)
        value = VALUES[name][greedy]
        if value != UNKNOWN:
            confidence = self.correction.of(math.exp(min(scaled[greedy], 0.0)), value)
            if not abstain or confidence >= self.threshold:
                return Decision(value, confidence)
        return Decision(UNKNOWN, math.exp(min(scaled[VALUES[name].index(UNKNOWN)], 0.0)))


_PLAIN = FieldCalibration()


@dataclass(frozen=True)
class VariantCalibration:
    """All fields under one input variant; a field that it does not name keeps temperature 1."""

    fields: Mapping[str, FieldCalibration] = column(default_factory=dict)
    abstain: bool = False

    def apply(self, field: str, log_probs: Probabilities, greedy: int) -> Decision:
        """The hook ``fvrec.vlm.decoding_types.Calibration``: ``[V]`` over ``VALUES[field]``, and what was decoded."""
        return self.fields.get(field, _PLAIN).apply(field, log_probs, greedy, abstain=self.abstain)


@dataclass(frozen=True)
class Calibration:
    """Input variant -> its fields, bound to the weights whose probabilities it scales."""

    weights_sha256: str
    variants: Mapping[str, Mapping[str, FieldCalibration]]
    abstain: bool = False
    """Whether answers below their field's threshold become ``unknown``: the caller's choice, not kept in the file."""

    def of(self, inputs: str) -> VariantCalibration:
        """What applies to one input variant; temperature 1 throughout where it was never fitted."""
        return VariantCalibration(self.variants.get(inputs, {}), self.abstain)

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides what is answered."""
        return digest_json([self.weights_sha256, _plain(self.variants), self.abstain])

    def save(self, path: Path) -> None:
        """Write it as JSON, atomically."""
        body = {
            "schema_version": SCHEMA_VERSION,
            "weights_sha256": self.weights_sha256,
            "variants": _plain(self.variants),
        }
        # JSON has no NaN: what was not measured is null.
        atomic_write(path, json.dumps(_without_nan(body), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path, *, weights_sha256: str) -> Calibration:
        """Read it back. FvrecError when it is damaged, of another schema, or was fitted on other weights."""
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            found, version = body["weights_sha256"], body["schema_version"]
            variants = {
                inputs: {name: _field(one) for name, one in fields.items()}
                for inputs, fields in body["variants"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FvrecError(f"the calibration cannot be read: {error}", where=path) from error
        if version != SCHEMA_VERSION:
            raise FvrecError(
                "the calibration is of another schema", where=path, found=version, allowed=[SCHEMA_VERSION]
            )
        if found != weights_sha256:
            raise FvrecError(
                "the calibration belongs to other weights", where=path, found=found, allowed=weights_sha256
            )
        return cls(found, variants)


def stored_calibration(files: ModelFiles) -> Calibration | None:
    """The one that lies with a model; None when there is none. FvrecError when it is of other weights."""
    if files.calibration is None:
        return None
    return Calibration.load(files.calibration, weights_sha256=weights_digest(files.adapter or files.base))


def recalibrated(reading: Reading, calibration: VariantCalibration) -> Prediction:
    """The prediction of a reading of mode ``constrained``, decided anew. FvrecError without distributions."""
    if reading.scores is None:
        raise FvrecError("only constrained readings can be calibrated", found=reading.prediction.mode)
    scores = reading.scores
    decided = {name: calibration.apply(name, scores.log_probs[name], scores.greedy[name]) for name in scores.log_probs}
    return replace(
        reading.prediction,
        attributes={name: one.value for name, one in decided.items()},
        confidence={name: one.confidence for name, one in decided.items()},
    )


def weights_digest(directory: Path) -> str:
    """SHA-256 over the weight files of an adapter or checkpoint folder, and the base that an adapter names.

    FvrecError when there are none.
    """
    files = sorted(directory.glob("*.safetensors"))
    if not files:
        raise FvrecError("no weights there", where=directory, allowed="a folder with .safetensors files")
    base = directory / "base.json"
    named = {file.name: digest_file(file) for file in files}
    return digest_json({**named, "base": digest_bytes(base.read_bytes()) if base.is_file() else ""})


def _field(body: Mapping[str, Any]) -> FieldCalibration:
    numbers: dict[str, Any] = {name: math.nan if value is None else value for name, value in body.items()}
    made = FieldCalibration(**{**numbers, "correction": _correction(**numbers.pop("correction", {}))})
    if not (made.temperature > 0 and math.isfinite(made.temperature) and 0 <= made.threshold <= 1):
        raise ValueError(f"temperature {made.temperature}, threshold {made.threshold}")
    return made


def _correction(
    shape: Sequence[float] = UNCHANGED.shape, offsets: Mapping[str, float] = UNCHANGED.offsets
) -> Correction:
    a, b, c = (float(number) for number in shape)
    made = Correction((a, b, c), {str(value): float(offset) for value, offset in offsets.items()})
    if not (a >= 0 and b >= 0 and all(map(math.isfinite, (a, b, c, *made.offsets.values())))):
        raise ValueError(f"correction {made}")
    return made


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(one) for key, one in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _plain(variants: Mapping[str, Mapping[str, FieldCalibration]]) -> dict[str, Any]:
    return {inputs: {name: asdict(one) for name, one in fields.items()} for inputs, fields in variants.items()}
