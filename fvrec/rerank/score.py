"""``score = base_score + alpha * match - beta * conflict`` (project plan, 9.3), over all candidates at once.

``match`` and ``conflict`` count constraints. A constraint on an item is met (match 1), broken (conflict 1) or neither,
where the predicted value is unknown. With ``ScoreWeights.expected`` both are expectations instead, from the confidence
p of the predicted value: p on it, and the rest spread evenly over the field's other values (the distribution of largest
entropy that p allows). For one wanted value and an equal prediction that is p · 1.

``base_score`` is the weighted sum of text and image similarity (CombSUM: Fox & Shaw, 1994), both in [0, 1]. A sum of
similarities rather than of ranks (reciprocal rank fusion: Cormack et al., 2009): a rank depends on how many others
there are, so that the same item would weigh differently against ``alpha`` in another catalogue, and ranks tell items
apart even where no title shares a word with the request.
"""

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

    picture: the same for what was read from a reference picture: ten of its attributes must not drown two wishes.
    text, image: shares of the two similarities in ``base_score`` when a reference picture is given.
    expected: whether confidences count (see the module). strict: whether items that break a hard constraint stand
    behind all others whatever their score; it takes readings that deserve it.
    Raises FvrecError on a negative weight. ``alpha = beta = 0`` ranks by ``base_score``.
    """

    alpha: float = 1.0
    beta: float = 0.5
    soft: float = 0.5
    picture: float = 0.2
    text: float = 0.5
    image: float = 0.5
    expected: bool = False
    strict: bool = True

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (np.isfinite(value) and value >= 0.0):
                raise FvrecError("a score weight is out of range", where=name, found=value, allowed="0 or more")


@dataclass(frozen=True)
class Judgement:
    """``met`` and ``conflict``: ``[N, C]`` bool, a column for each constraint; an unknown value is neither.

    chance: ``[N, C]`` in [0, 1], how probable it is that the constraint is met; None where no confidence was given.
    """

    constraints: Constraints
    met: NDArray[np.bool_]
    conflict: NDArray[np.bool_]
    chance: NDArray[np.float32] | None = None

    @property
    def meets_all(self) -> NDArray[np.bool_]:
        """``[N]``: every constraint met, soft ones included. All true without constraints."""
        return np.asarray(self.met.all(axis=1), dtype=np.bool_)

    @property
    def breaks_none(self) -> NDArray[np.bool_]:
        """``[N]``: no hard constraint broken; an unknown value breaks nothing."""
        hard = [column for column, one in enumerate(self.constraints.constraints) if one.strength == "hard"]
        return np.asarray(~self.conflict[:, hard].any(axis=1), dtype=np.bool_)

    def rows(self, chosen: NDArray[np.int64]) -> Judgement:
        """The same for some of the candidates, in the order given."""
        chance = None if self.chance is None else self.chance[chosen]
        return Judgement(self.constraints, self.met[chosen], self.conflict[chosen], chance)


def judge(
    values: NDArray[np.int16], constraints: Constraints, confidence: NDArray[np.float32] | None = None
) -> Judgement:
    """Hold ``[N, 10]`` value codes (``fvrec.rerank.pool.encode_values``) against each constraint.

    confidence: ``[N, 10]`` in [0, 1], of each value; with it come chances.
    """
    shape = (len(values), len(constraints))
    met, conflict = np.zeros(shape, dtype=np.bool_, order="F"), np.zeros(shape, dtype=np.bool_, order="F")
    chance = None if confidence is None else np.zeros(shape, dtype=np.float32, order="F")
    for column, constraint in enumerate(constraints.constraints):
        at = FIELDS.index(constraint.field)
        known = values[:, at] != UNKNOWN_CODES[at]
        named = _value_mask(constraint)[values[:, at]]
        met[:, column] = known & (named != constraint.excluded)
        conflict[:, column] = known & ~met[:, column]
        if chance is not None and confidence is not None:
            among = _chance_among(named, confidence[:, at], constraint)
            chance[:, column] = np.where(known, 1.0 - among if constraint.excluded else among, 0.0)
    return Judgement(constraints, met, conflict, chance)


def _chance_among(named: NDArray[np.bool_], p: NDArray[np.float32], constraint: Constraint) -> NDArray[np.float32]:
    """``[N]``: how probable a value is one of the constraint's. named: ``[N]``, whether the predicted one is."""
    each = (1.0 - p) / (len(VALUES[constraint.field]) - 2)
    count = len(constraint.values)
    return np.asarray(np.where(named, p + each * (count - 1), each * count), dtype=np.float32)


def score(base: NDArray[np.floating], judgement: Judgement, weights: ScoreWeights) -> NDArray[np.float64]:
    """``[N]`` scores. ``base``: ``[N]`` in [0, 1]. match and conflict count constraints, soft ones in part.

    Raises FvrecError when ``weights.expected`` and the judgement has no chances.
    """
    counts = constraint_weights(judgement.constraints, weights)
    match: NDArray[np.generic] = judgement.met
    conflict: NDArray[np.generic] = judgement.conflict
    if weights.expected:
        if judgement.chance is None:
            raise FvrecError("an expected match needs confidences", where="score", found=None, allowed="[N, 10]")
        match, conflict = judgement.chance, np.where(judgement.met | judgement.conflict, 1.0 - judgement.chance, 0.0)
    points = weights.alpha * _weighed(match, counts) - weights.beta * _weighed(conflict, counts)
    return np.asarray(base + points, dtype=np.float64)


def _weighed(outcomes: NDArray[np.generic], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """``[N]``: sum of the columns of ``[N, C]``, each times its weight; column by column, which copies no matrix."""
    total = np.zeros(len(outcomes))
    for column, weight in enumerate(counts):
        total += weight * outcomes[:, column]
    return total


def base_score(
    text: NDArray[np.floating], image: NDArray[np.floating] | None, weights: ScoreWeights
) -> NDArray[np.float64]:
    """``[N]`` in [0, 1]: the text similarity, or the weighted mean of both where a reference picture was given."""
    if image is None or weights.text + weights.image == 0.0:
        return np.asarray(text, dtype=np.float64)
    return np.asarray((weights.text * text + weights.image * image) / (weights.text + weights.image), dtype=np.float64)


def image_similarity(embeddings: NDArray[np.float32], reference: NDArray[np.floating]) -> NDArray[np.float64]:
    """``[N]`` in [0, 1]: cosine of each row to the ``[D]`` reference, negatives as 0. FvrecError on a wrong shape."""
    # In the matrix's own type: against a float64 vector NumPy would first copy the whole matrix.
    vector = np.asarray(reference, dtype=np.float32).ravel()
    if embeddings.ndim != 2 or vector.shape != embeddings.shape[1:] or not np.isfinite(vector).all():
        raise FvrecError("the reference does not fit the items' embeddings", found=vector.shape, allowed="finite, [D]")
    length = float(np.linalg.norm(vector))
    if length == 0.0:
        return np.zeros(len(embeddings))
    return np.clip(embeddings @ (vector / length), 0.0, 1.0).astype(np.float64)


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
    """``[C]``: 1 for a hard constraint, ``weights.soft`` for a soft one, ``weights.picture`` for one from a picture."""
    return np.array([_weight(one, weights) for one in constraints.constraints], dtype=np.float64)


def _weight(constraint: Constraint, weights: ScoreWeights) -> float:
    if constraint.origin == "picture":
        return weights.picture
    return weights.soft if constraint.strength == "soft" else 1.0


def _value_mask(constraint: Constraint) -> NDArray[np.bool_]:
    mask = np.zeros(_WIDEST, dtype=np.bool_)
    mask[[VALUES[constraint.field].index(value) for value in constraint.values]] = True
    return mask
