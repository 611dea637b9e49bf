"""What constrained extraction hands out: readings with a whole distribution a field, and the hook for calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fvrec.records import Prediction


@dataclass(frozen=True)
class Decision:
    """What is said of one field: a value of its enum and how sure, in [0, 1]."""

    value: str
    confidence: float


class Calibration(Protocol):
    """Turns a field's distribution into the value and the confidence that are reported.

    ``log_probs``: ``[n_values]`` float32, natural logarithms that sum to 1 as probabilities, in the order of
    ``VALUES[field]``. ``greedy``: index of the value that the decoding chose. Where every value is one token that is
    the most probable one; where values take several tokens a greedy walk may end elsewhere. The fields after it were
    read after the greedy value, whatever is reported.
    """

    def apply(self, field: str, log_probs: NDArray[np.float32], greedy: int) -> Decision: ...


@runtime_checkable
class CalibrationByInputs(Protocol):
    """One calibration for each input variant: how sure a model may be depends on what it was shown."""

    def of(self, inputs: str) -> Calibration: ...


AnyCalibration = Calibration | CalibrationByInputs


def for_inputs(calibration: AnyCalibration, inputs: str) -> Calibration:
    """What applies to a sample of that input variant."""
    return calibration.of(inputs) if isinstance(calibration, CalibrationByInputs) else calibration


@dataclass(frozen=True, eq=False)
class FieldScores:
    """One sample's distributions: field -> ``[n_values]`` float32 log-probabilities, and field -> the chosen index.

    A value's probability is the product of its tokens' probabilities, each normalised over the tokens that the
    field's enum allows there.
    """

    log_probs: Mapping[str, NDArray[np.float32]]
    greedy: Mapping[str, int]


@dataclass(frozen=True)
class Cut:
    """A text that was too long and was shortened: ``text`` is ``title`` or ``description``; lengths in characters."""

    text: str
    length: int
    kept: int


@dataclass(frozen=True, eq=False)
class Reading:
    """One sample's result. ``scores`` is None in mode ``raw`` and where the image could not be read."""

    prediction: Prediction
    scores: FieldScores | None = None
    cuts: tuple[Cut, ...] = ()

    @property
    def attributes(self) -> Mapping[str, str]:
        """field -> value; empty unless the answer obeys the schema."""
        return self.prediction.attributes

    @property
    def confidence(self) -> Mapping[str, float]:
        """field -> confidence in [0, 1]; empty unless the answer obeys the schema."""
        return self.prediction.confidence

    @property
    def error(self) -> str:
        """Empty, or why there is no answer."""
        return self.prediction.error
