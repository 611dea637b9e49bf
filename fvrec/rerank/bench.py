"""The bench that lists are judged on: candidates, what a model read of them, and what is true."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.rerank.constraints import Constraints, parse
from fvrec.rerank.labels import source_labels
from fvrec.rerank.pool import encode_values
from fvrec.rerank.protocol import CandidateDraw, draw
from fvrec.rerank.queries import EvalQuery
from fvrec.rerank.score import Judgement, ScoreWeights, judge, score
from fvrec.rerank.search import search_text
from fvrec.rerank.shortlist import best, shortlist
from fvrec.rerank.table import Candidates, CandidateTable
from fvrec.schema import FIELDS


@dataclass(frozen=True, eq=False)
class Trial:
    """One query on its candidates: ``rows`` of the bench's table, and all that rankings of them are made from.

    base: ``[R]``; read: the parsed request held against predictions; gains: ``[R]``, the share of the supervised
    constraints that is truly met (0 throughout where none is supervised); seen: ``[R, F]``, the predicted values of the
    fields that the request is about.
    """

    query: EvalQuery
    parsed: Constraints
    expected: Constraints
    rows: NDArray[np.int64]
    base: NDArray[np.float64]
    read: Judgement
    gains: NDArray[np.float64]
    seen: NDArray[np.int16]

    @property
    def matching(self) -> int:
        """How many candidates truly meet the whole request."""
        return int((self.gains >= 1.0).sum())

    def by_base(self, k: int) -> NDArray[np.int64]:
        """Places of the ``k`` first in ``rows``, by ``base`` alone."""
        return best(self.base, np.arange(len(self.rows)), k)

    def by_score(self, weights: ScoreWeights, k: int) -> NDArray[np.int64]:
        """Places of the ``k`` first as ``ask`` lists them: what breaks no hard constraint, by score; then the rest."""
        scores = self.scores(weights)
        allowed = np.flatnonzero(self.read.breaks_none) if weights.strict else np.arange(len(scores))
        return shortlist(scores, allowed, k=k, size=k).rows[:k]

    def scores(self, weights: ScoreWeights) -> NDArray[np.float64]:
        """``[R]``."""
        return score(self.base, self.read, weights)


class Bench:
    """Candidates with one model's predictions, and the labels that the source itself gave on supervised fields."""

    def __init__(self, candidates: Candidates, supervised: frozenset[str]) -> None:
        self.table = CandidateTable(candidates)
        self.supervised = supervised
        self.truth = [
            {name: value for name, value in source_labels(item).items() if name in supervised}
            for item in candidates.items
        ]
        self._rows = {item_id: row for row, item_id in enumerate(self.table.item_ids)}

    @cached_property
    def true_values(self) -> NDArray[np.int16]:
        """``[N, 10]`` codes of the labels; unknown where there is none."""
        return encode_values(self.truth)

    def supervised_part(self, constraints: Constraints) -> Constraints:
        """The constraints that labels can judge."""
        return constraints.without(*(one for one in constraints.constraints if one.field not in self.supervised))

    def trial(
        self, query: EvalQuery, kind: CandidateDraw, size: int, weights: ScoreWeights, rng: np.random.Generator
    ) -> Trial:
        """Draw the query's candidates and prepare them. FvrecError when the query's item is not in the catalogue."""
        target = self._rows.get(query.item_id)
        if target is None:
            raise FvrecError("a query's item is not among the candidates", where=query.query_id, found=query.item_id)
        category = self.true_values[:, FIELDS.index("category")]
        rows = draw(kind, target, size, category=category, embeddings=self.table.embeddings, rng=rng)
        parsed, expected = parse(query.text), self.supervised_part(query.expected)
        base = self.table.base_score(search_text(query.text, parsed, self.table.text), None, weights)
        met = judge(self.true_values[rows], expected).met
        asked = sorted({FIELDS.index(one.field) for one in expected.constraints})
        return Trial(
            query=query,
            parsed=parsed,
            expected=expected,
            rows=rows,
            base=base[rows],
            read=judge(self.table.values[rows], parsed, self.table.confidence[rows]),
            gains=met.mean(axis=1) if len(expected) else np.zeros(len(rows)),
            seen=self.table.values[rows][:, asked],
        )
