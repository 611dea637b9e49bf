"""What one temperature cannot mend: how often an answer of that confidence, naming that value, is right on val.

Beta calibration (Kull, Silva Filho and Flach 2017, "Beta calibration") of the chosen value's scaled probability p:
``logit P(right) = a ln p - b ln(1 - p) + c + offset[value]``. ``a = b = 1`` and no more is the temperature alone; a
Gaussian prior pulls there. Each field takes the simplest of three forms that cross-validation on val cannot tell from
the best one, so that few labels, or a temperature that is enough, leave the confidence as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Floats = NDArray[np.float64]
Values = NDArray[np.str_]

FOLDS = 5
LEAST_CLAIMS = 100
"""With fewer labelled answers that name a value than this, the temperature stands alone."""
_EDGE = 1e-6
_PRIOR = np.array([1.0, 1.0, 0.25])
"""Precision of a, b and c about 1, 1 and 0."""
_OFFSET_PRIOR = 4.0


@dataclass(frozen=True)
class Correction:
    """``shape``: a, b (neither below 0, so that surer stays surer) and c. ``offsets``: by the value that is named."""

    shape: tuple[float, float, float] = (1.0, 1.0, 0.0)
    offsets: Mapping[str, float] = field(default_factory=dict)

    @property
    def form(self) -> str:
        """``temperature`` (nothing is changed), ``beta`` or ``beta+values``."""
        if self.offsets:
            return "beta+values"
        return "temperature" if self.shape == (1.0, 1.0, 0.0) else "beta"

    def of(self, probability: float, value: str) -> float:
        """P(right) of an answer that names ``value`` with that scaled probability."""
        if self.form == "temperature":
            return probability
        columns = _columns(np.array([probability]))[0]
        return float(expit(columns @ np.array(self.shape) + self.offsets.get(value, 0.0)))


UNCHANGED = Correction()
Fit = Callable[[Floats, Floats, Values], Correction]


def fit_correction(probability: Floats, correct: Floats, values: Values, *, seed: int) -> Correction:
    """The form and its numbers. ``[N]`` each, over the labelled val items whose answer names a value."""
    n = len(probability)
    if n < LEAST_CLAIMS or len(np.unique(correct)) < 2:
        return UNCHANGED
    folds = np.random.default_rng(seed).permutation(n) % FOLDS
    forms: tuple[Fit, ...] = (lambda *_: UNCHANGED, _beta, _beta_with_values)
    losses = [_held_out(form, folds, probability, correct, values) for form in forms]
    best = min(losses, key=lambda loss: float(loss.mean()))
    chosen = next(at for at, loss in enumerate(losses) if _no_worse(loss, best))
    return forms[chosen](probability, correct, values)


def _held_out(form: Fit, folds: NDArray[np.int64], probability: Floats, correct: Floats, values: Values) -> Floats:
    """``[N]``: log loss of each answer under what was fitted without its fold."""
    loss = np.empty(len(probability))
    for fold in range(FOLDS):
        rest, held = folds != fold, folds == fold
        fitted = form(probability[rest], correct[rest], values[rest])
        pairs = zip(probability[held], values[held], strict=True)
        stated = np.clip([fitted.of(float(p), str(value)) for p, value in pairs], _EDGE, 1 - _EDGE)
        loss[held] = -np.log(np.where(correct[held] == 1, stated, 1 - stated))
    return loss


def _no_worse(loss: Floats, best: Floats) -> bool:
    """Within one standard error of the best (Breiman et al. 1984, the one-standard-error rule), answer by answer."""
    excess = loss - best
    return bool(excess.mean() <= excess.std() / np.sqrt(len(excess)))


def _beta(probability: Floats, correct: Floats, _: Values) -> Correction:
    return Correction(_shape(_minimised(_columns(probability), correct, _PRIOR)))


def _beta_with_values(probability: Floats, correct: Floats, values: Values) -> Correction:
    names = np.unique(values)
    columns = np.concatenate([_columns(probability), (values[:, None] == names).astype(np.float64)], axis=1)
    found = _minimised(columns, correct, np.concatenate([_PRIOR, np.full(len(names), _OFFSET_PRIOR)]))
    return Correction(_shape(found), dict(zip(map(str, names), map(float, found[3:]), strict=True)))


def _shape(found: Floats) -> tuple[float, float, float]:
    return float(found[0]), float(found[1]), float(found[2])


def _columns(probability: Floats) -> Floats:
    p = np.clip(probability, _EDGE, 1 - _EDGE)
    return np.stack([np.log(p), -np.log1p(-p), np.ones_like(p)], axis=1)


def _minimised(columns: Floats, correct: Floats, precision: Floats) -> Floats:
    """Most probable weights of a logistic regression whose prior stands at (1, 1, 0, 0 ...)."""
    start = np.zeros(columns.shape[1])
    start[:2] = 1.0

    def loss(weights: Floats) -> tuple[float, Floats]:
        z, away = columns @ weights, weights - start
        value = np.logaddexp(0, z).sum() - correct @ z + 0.5 * (precision * away**2).sum()
        return float(value), columns.T @ (expit(z) - correct) + precision * away

    bounds: list[Any] = [(0, None), (0, None), *[(None, None)] * (len(start) - 2)]
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x, dtype=np.float64)
