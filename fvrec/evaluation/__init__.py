"""How good extraction is, and how well its confidence says so."""

from fvrec.evaluation.extraction import Evaluation, compare_modes, evaluate, evaluate_confidence
from fvrec.evaluation.scores import INVALID, FieldScore, score_field

__all__ = ["INVALID", "Evaluation", "FieldScore", "compare_modes", "evaluate", "evaluate_confidence", "score_field"]
