"""``score = base_score + alpha * match - beta * conflict`` (project plan, 9.3), over all candidates at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.rerank.constraints import Constraint, Constraints
from fvrec.rerank.pool import UNKNOWN_CODES, Pool
from fvrec.schema import FIELDS, VALUES

_WIDEST = max(len(values) for values in VALUES.values())


@dataclass(frozen=True)
class ScoreWeights:
    """alpha: what a met constraint adds. beta: what a broken one takes. soft: the share of both that a soft one counts.

    text, image: shares of the two similarities in ``base_score`` when a reference picture is given.
    Raises FvrecError on a negative weight. ``alpha = beta = 0`` ranks by ``base_score``.
    """

    alpha: float = 1.0
    beta: float = 0.5
    soft: float = 0.5
    text: float = 0.5
    image: float = 0.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (np.isfinite(value) and value >= 0.0):
                raise FvrecError("a score weight is out of range", where=name, found=value, allowed="0 or more")


@dataclass(frozen=True)
class Judgement:
    """``met`` and ``conflict``: ``[N, C]`` bool, a column for each constraint; an unknown value is neither."""

    constraints: Constraints
    met: NDArray[np.bool_]
    conflict: NDArray[np.bool_]

    @property
    def meets_all(self) -> NDArray[np.bool_]:
        """``[N]``: every constraint met, soft ones included. All true without constraints."""
        return np.asarray(self.met.all(axis=1), dtype=np.bool_)

    def rows(self, chosen: NDArray[np.int64]) -> Judgement:
        """The same for some of the candidates, in the order given."""
        return Judgement(self.constraints, self.met[chosen], self.conflict[chosen])


def judge(values: NDArray[np.int16], constraints: Constraints) -> Judgement:
    """Hold ``[N, 10]`` value codes (``fvrec.rerank.pool.encode_values``) against each constraint."""
    shape = (len(values), len(constraints))
    met, conflict = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
    for column, constraint in enumerate(constraints.constraints):
        at = FIELDS.index(constraint.field)
        known = values[:, at] != UNKNOWN_CODES[at]
        named = _value_mask(constraint)[values[:, at]]
        met[:, column] = known & (named != constraint.excluded)
        conflict[:, column] = known & ~met[:, column]
    return Judgement(constraints, met, conflict)


def score(base: NDArray[np.floating], judgement: Judgement, weights: ScoreWeights) -> NDArray[np.float64]:
    """``[N]`` scores. ``base``: ``[N]`` in [0, 1]. match and conflict count constraints, soft ones in part."""
    counts = constraint_weights(judgement.constraints, weights)
    return np.asarray(
        base + weights.alpha * (judgement.met @ counts) - weights.beta * (judgement.conflict @ counts),
        dtype=np.float64,
    )


def base_score(
    text: NDArray[np.floating], image: NDArray[np.floating] | None, weights: ScoreWeights
) -> NDArray[np.float64]:
    """``[N]`` in [0, 1]: the text similarity, or the weighted mean of both where a reference picture was given."""
    if image is None or weights.text + weights.image == 0.0:
        return np.asarray(text, dtype=np.float64)
    return np.asarray((weights.text * text + weights.image * image) / (weights.text + weights.image), dtype=np.float64)


def image_similarity(embeddings: NDArray[np.float32], reference: NDArray[np.floating]) -> NDArray[np.float64]:
    """``[N]`` in [0, 1]: cosine of each row to the ``[D]`` reference, negatives as 0. FvrecError on a wrong shape."""
    vector = np.asarray(reference, dtype=np.float64).ravel()
    if embeddings.ndim != 2 or vector.shape != embeddings.shape[1:] or not np.isfinite(vector).all():
        raise FvrecError("the reference does not fit the items' embeddings", found=vector.shape, allowed="finite, [D]")
    length = float(np.linalg.norm(vector))
    if length == 0.0:
        return np.zeros(len(embeddings))
    return np.clip(embeddings @ (vector / length), 0.0, 1.0)


def to_pool(
    item_ids: Sequence[str],
    values: NDArray[np.int16],
    embeddings: NDArray[np.float32],
    scores: NDArray[np.floating],
    judgement: Judgement,
    weights: ScoreWeights,
) -> Pool:
    """A ranker's pool of the same ``N`` rows.

    relevance: the score on the scale from the worst that any item could get (0) to the best (1), so that it means the
    same in every pool. field_match: 1 met, 0 broken, 0.5 unknown or not asked; the worse where a field has both kinds.
    """
    total = float(constraint_weights(judgement.constraints, weights).sum())
    worst, best = -weights.beta * total, 1.0 + weights.alpha * total
    match = np.full((len(values), len(FIELDS)), 0.5, dtype=np.float32)
    asked: set[int] = set()
    for column, constraint in enumerate(judgement.constraints.constraints):
        at = FIELDS.index(constraint.field)
        outcome = 0.5 + 0.5 * judgement.met[:, column] - 0.5 * judgement.conflict[:, column]
        match[:, at] = np.minimum(match[:, at], outcome) if at in asked else outcome
        asked.add(at)
    relevance = np.clip((scores - worst) / (best - worst), 0.0, 1.0).astype(np.float32)
    return Pool(tuple(item_ids), relevance, embeddings, values, match)


def constraint_weights(constraints: Constraints, weights: ScoreWeights) -> NDArray[np.float64]:
    """``[C]``: 1 for a hard constraint, ``weights.soft`` for a soft one."""
    return np.array([weights.soft if c.strength == "soft" else 1.0 for c in constraints.constraints], dtype=np.float64)


def _value_mask(constraint: Constraint) -> NDArray[np.bool_]:
    mask = np.zeros(_WIDEST, dtype=np.bool_)
    mask[[VALUES[constraint.field].index(value) for value in constraint.values]] = True
    return mask
