"""How good extraction is, and how well its confidence says so."""

from fvrec.evaluation.extraction import Evaluation, evaluate
from fvrec.evaluation.scores import INVALID, FieldScore, score_field

__all__ = ["INVALID", "Evaluation", "FieldScore", "evaluate", "score_field"]
