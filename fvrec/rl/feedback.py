"""How a simulated user answers to an item that is shown, and what the answer teaches about the other candidates.

The model of the answer is known to every ranker of the feed: what is unknown is the user.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from fvrec.errors import FvrecError
from fvrec.rl.bank import Bank

Kind = Literal["click", "dwell"]


@dataclass(frozen=True)
class FeedbackConfig:
    """kind: ``click`` (0 or 1) or ``dwell`` (a noisy number, about 0 to 1).

    Interest is ``relevance - boredom * largest true likeness to the last three shown``. A click comes with probability
    ``sigmoid(slope * (interest - middle))``; dwell is interest plus normal noise. After each answer the user
    leaves with probability ``leave * (1 - click probability)``.
    """

    kind: Kind = "click"
    boredom: float = 0.15
    slope: float = 12.0
    middle: float = 0.5
    noise: float = 0.1
    leave: float = 0.1

    def __post_init__(self) -> None:
        numbers = (self.boredom, self.slope, self.noise, self.leave)
        if self.kind not in ("click", "dwell") or not all(np.isfinite(n) and n >= 0 for n in numbers):
            raise FvrecError("not a model of feedback", found=self, allowed="click or dwell, numbers of 0 or more")
        if self.leave > 1 or self.noise <= 0:
            raise FvrecError("not a model of feedback", found=self, allowed="leave up to 1, noise above 0")

    def appeal(self, interest: NDArray[np.floating]) -> NDArray[np.float64]:
        """Click probability at an interest."""
        return np.asarray(1.0 / (1.0 + np.exp(-self.slope * (np.asarray(interest, np.float64) - self.middle))))

    @staticmethod
    def as_normal(uniform: NDArray[np.float64]) -> NDArray[np.float64]:
        """Uniform draws as standard normal ones."""
        return np.asarray(ndtri(np.clip(uniform, 1e-12, 1.0 - 1e-12)))

    def answer(
        self, interest: NDArray[np.floating], uniform: NDArray[np.float64], normal: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """What the user does, given one uniform and one normal draw each."""
        if self.kind == "click":
            return (uniform < self.appeal(interest)).astype(np.float32)
        return (interest + self.noise * normal).astype(np.float32)


LEAST_NOISE = 0.02


class Posterior:
    """A Gaussian belief over the relevance of ``B`` pools' candidates, updated by answers.

    It starts at the beliefs' relevance; errors of two candidates go together as much as the candidates are alike
    (correlation ``shared + common * likeness``, as measured on the residuals of a reader over drawn catalogues). A
    click is taken as a linear observation around the expected one (an extended Kalman filter).
    """

    shared, common = 0.18, 0.75

    def __init__(self, bank: Bank, batch: int, feedback: FeedbackConfig) -> None:
        self.feedback = feedback
        self._bank, self._rows = bank, np.arange(batch)
        self.mean = np.zeros((batch, bank.pool_size), dtype=np.float32)
        self.covariance = np.zeros((batch, bank.pool_size, bank.pool_size), dtype=np.float32)

    def start(self, which: NDArray[np.integer], requests: NDArray[np.integer]) -> None:
        """Forget what rows ``which [b]`` heard; they are now of ``requests [b]``."""
        doubt = self._bank.beliefs.doubt[requests]
        fresh = self.shared + self.common * self._bank.seen[requests]
        diagonal = np.arange(fresh.shape[1])
        fresh[:, diagonal, diagonal] = 1.0
        self.mean[which] = self._bank.beliefs.relevance[requests]
        self.covariance[which] = fresh * doubt[:, :, None] * doubt[:, None, :]

    @property
    def doubt(self) -> NDArray[np.float32]:
        """``[B, N]``: standard deviation of each candidate's relevance."""
        return np.sqrt(np.maximum(np.diagonal(self.covariance, axis1=1, axis2=2), 0.0))

    def hear(self, actions: NDArray[np.integer], likeness: NDArray[np.floating], answer: NDArray[np.floating]) -> None:
        """Update by the answers ``[B]`` to ``actions [B]``, shown at a believed recent likeness ``[B]``."""
        config, at = self.feedback, (self._rows, actions)
        interest = self.mean[at] - config.boredom * likeness
        if config.kind == "click":
            expected = config.appeal(interest)
            slope = config.slope * np.maximum(expected * (1.0 - expected), LEAST_NOISE)
            noise = np.maximum(expected * (1.0 - expected), LEAST_NOISE)
        else:
            expected, slope = interest.astype(np.float64), np.ones(len(actions))
            noise = np.full(len(actions), config.noise**2)
        column = self.covariance[at]  # [B, N]
        scale = slope**2 * column[self._rows, actions] + noise
        gain = column * (slope / scale).astype(np.float32)[:, None]
        self.mean = (self.mean + gain * (answer - expected).astype(np.float32)[:, None]).clip(0.0, 1.0)
        self.covariance -= gain[:, :, None] * (column * slope.astype(np.float32)[:, None])[:, None, :]
