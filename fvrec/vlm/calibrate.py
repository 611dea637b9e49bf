"""Confidence that means what it says: one temperature per input variant and field, fitted on val.

Temperature scaling (Guo et al. 2017, "On calibration of modern neural networks"): the log-probabilities over a field's
values are divided by T before they are normalised again. The chosen value stays the same; only its confidence moves.
Abstention: below a threshold the answer becomes ``unknown``, which costs recall and not precision.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from dataclasses import field as column  # ``field`` is an attribute's name here
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp

from fvrec.artifacts import atomic_write, digest_bytes, digest_file, digest_json
from fvrec.errors import FvrecError
from fvrec.schema import SCHEMA_VERSION, UNKNOWN, VALUES
from fvrec.vlm.decoding_types import Decision, FieldScores

Floats = NDArray[np.float64]
Probabilities = NDArray[np.floating[Any]]

CALIBRATION_FILE = "calibration.json"
LEAST_ITEMS = 20
"""With fewer labelled items than this a field keeps temperature 1: the fit would follow single products."""
_LIMITS = (0.05, 20.0)
_RESAMPLES = 1000


@dataclass(frozen=True)
class FieldCalibration:
    """One field under one input variant.

    threshold: answers below it become ``unknown`` when abstention is asked for; 0 where that did not help on val.
    items: labelled val items it was fitted on. nll_before, nll_after: mean negative log-likelihood of the labels.
    f1_gain: what the threshold adds to the field's F1 on val.
    """

    temperature: float = 1.0
    threshold: float = 0.0
    items: int = 0
    nll_before: float = math.nan
    nll_after: float = math.nan
    f1_gain: float = 0.0

    def apply(self, name: str, log_probs: Probabilities, greedy: int, *, abstain: bool = False) -> Decision:
        """The value that was decoded and its scaled probability; ``unknown`` below the threshold if ``abstain``."""
        scaled = log_softmax(np.asarray(log_probs, dtype=np.float64) / self.temperature)
        confidence = math.exp(min(scaled[greedy], 0.0))
        if abstain and VALUES[name][greedy] != UNKNOWN and confidence < self.threshold:
            greedy = VALUES[name].index(UNKNOWN)
            confidence = math.exp(min(scaled[greedy], 0.0))
        return Decision(VALUES[name][greedy], confidence)


_PLAIN = FieldCalibration()


@dataclass(frozen=True)
class VariantCalibration:
    """All fields under one input variant; a field that it does not name keeps temperature 1."""

    fields: Mapping[str, FieldCalibration] = column(default_factory=dict)
    abstain: bool = False

    def apply(self, field: str, log_probs: Probabilities, greedy: int) -> Decision:
        """The hook of ``fvrec.vlm.decoding_types.Calibration``: ``[V]`` over ``VALUES[field]``, and the decoded index."""
        return self.fields.get(field, _PLAIN).apply(field, log_probs, greedy, abstain=self.abstain)


@dataclass(frozen=True)
class Calibration:
    """Input variant -> its fields, bound to the weights whose probabilities it scales."""

    weights_sha256: str
    variants: Mapping[str, Mapping[str, FieldCalibration]]

    def of(self, inputs: str, *, abstain: bool = False) -> VariantCalibration:
        """What applies to one input variant; temperature 1 throughout where it was never fitted."""
        return VariantCalibration(self.variants.get(inputs, {}), abstain)

    def save(self, path: Path) -> None:
        """Write it as JSON, atomically."""
        variants = {
            inputs: {name: asdict(one) for name, one in fields.items()} for inputs, fields in self.variants.items()
        }
        body = {"schema_version": SCHEMA_VERSION, "weights_sha256": self.weights_sha256, "variants": variants}
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


def fit(
    scores: Sequence[FieldScores], labels: Mapping[str, Sequence[str]], *, seed: int
) -> dict[str, FieldCalibration]:
    """Temperature and abstention threshold of each field of one input variant.

    scores: ``N`` readings. labels: field -> ``N`` values, ``unknown`` where the item carries no label (it is left out).
    FvrecError when a label is none of the field's values.
    """
    return {name: _fit_field(name, scores, found, seed) for name, found in labels.items()}


def fit_temperature(log_probs: Floats, targets: NDArray[np.int64]) -> float:
    """The T in [0.05, 20] that makes the targets most likely. ``[N, V]`` log-probabilities, ``[N]`` indices."""
    low, high = (math.log(limit) for limit in _LIMITS)
    found = minimize_scalar(lambda t: _nll(log_probs, targets, math.exp(t)), bounds=(low, high), method="bounded")
    return math.exp(float(found.x))


def best_threshold(confidence: Floats, correct: Floats, *, seed: int) -> tuple[float, float]:
    """Threshold on confidence and the gain in F1 = 2 TP / (claims + labels) over answering always.

    ``(0, 0)`` unless the gain at the best threshold stays above zero in 97.5 % of bootstrap samples. ``[N]`` over
    the labelled items; an answer that claims nothing already has confidence 0 and is not correct.
    """
    claimed = confidence > 0
    order = np.argsort(-confidence, kind="stable")
    hits, claims = np.cumsum(correct[order]), np.cumsum(claimed[order])
    n = len(confidence)
    # Equal confidences go together: only the last of each is a place to cut.
    cuts = np.flatnonzero(np.diff(confidence[order], append=-1.0) < 0)
    f1 = 2 * hits[cuts] / (claims[cuts] + n)
    best = int(cuts[int(f1.argmax())])
    kept = np.zeros(n, dtype=bool)
    kept[order[: best + 1]] = True
    gain = _f1(correct * kept, claimed & kept) - _f1(correct, claimed)
    rng = np.random.default_rng(seed)
    resampled = []
    for _ in range(_RESAMPLES):
        rows = rng.integers(0, n, n)
        resampled.append(_f1((correct * kept)[rows], (claimed & kept)[rows]) - _f1(correct[rows], claimed[rows]))
    if gain <= 0 or float(np.percentile(resampled, 2.5)) <= 0:
        return 0.0, 0.0
    return float(confidence[order[best]]), float(gain)


def _fit_field(name: str, scores: Sequence[FieldScores], labels: Sequence[str], seed: int) -> FieldCalibration:
    values = {value: index for index, value in enumerate(VALUES[name])}
    foreign = sorted(set(labels) - set(values))
    if foreign:
        raise FvrecError("a label is none of the field's values", where=name, found=foreign[0], allowed=VALUES[name])
    rows = [(one, label) for one, label in zip(scores, labels, strict=True) if label != UNKNOWN]
    if len(rows) < LEAST_ITEMS:
        return FieldCalibration(items=len(rows))
    targets = np.array([values[label] for _, label in rows], dtype=np.int64)
    answers = np.array([one.greedy[name] for one, _ in rows], dtype=np.int64)
    log_probs = np.array([one.log_probs[name] for one, _ in rows], dtype=np.float64)
    temperature = fit_temperature(log_probs, targets)
    stated = np.exp(log_softmax(log_probs / temperature, axis=1))[np.arange(len(rows)), answers]
    confidence = np.where(answers == values[UNKNOWN], 0.0, stated)
    threshold, gain = best_threshold(confidence, (answers == targets).astype(np.float64), seed=seed)
    before, after = _nll(log_probs, targets, 1.0), _nll(log_probs, targets, temperature)
    return FieldCalibration(temperature, threshold, len(rows), before, after, gain)


def _nll(log_probs: Floats, targets: NDArray[np.int64], temperature: float) -> float:
    scaled = log_probs / temperature
    return float(np.mean(logsumexp(scaled, axis=1) - scaled[np.arange(len(targets)), targets]))


def _f1(correct: Floats, claimed: NDArray[np.bool_]) -> float:
    return float(2 * correct.sum() / (claimed.sum() + len(correct)))


def _field(body: Mapping[str, Any]) -> FieldCalibration:
    numbers = {name: math.nan if value is None else value for name, value in body.items()}
    made = FieldCalibration(**numbers)
    if not (made.temperature > 0 and math.isfinite(made.temperature) and 0 <= made.threshold <= 1):
        raise ValueError(f"temperature {made.temperature}, threshold {made.threshold}")
    return made


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(one) for key, one in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
