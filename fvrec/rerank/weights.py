"""The weights that lists are served with: as tuned on val, unless the settings say otherwise."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from fvrec.artifacts import atomic_write
from fvrec.config import Settings
from fvrec.errors import FvrecError
from fvrec.rerank.score import ScoreWeights


def write_weights(path: Path, weights: ScoreWeights) -> None:
    """One JSON object with the names of ``ScoreWeights``, replaced as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, json.dumps(asdict(weights), indent=2) + "\n")


def read_weights(path: Path) -> ScoreWeights:
    """What ``write_weights`` wrote. FvrecError when the file is not that."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        # alpha and beta make it what it is; a weight that came later keeps its default.
        chosen = asdict(ScoreWeights()) | {"alpha": found["alpha"], "beta": found["beta"]} | found
        return ScoreWeights(**{name: type(default)(chosen[name]) for name, default in asdict(ScoreWeights()).items()})
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = "not a file of score weights: `fvrec rerank` writes it"
        raise FvrecError(problem, where=path, found=str(error)) from error


def weights_file(settings: Settings) -> Path:
    """Where the rerank stage leaves what it chose."""
    return settings.policies / "rerank" / "weights.json"


def served_weights(settings: Settings) -> ScoreWeights:
    """``alpha``, ``beta``, ``expected`` of the settings where they are set, else as tuned, else the defaults."""
    path = weights_file(settings)
    tuned = read_weights(path) if path.is_file() else ScoreWeights()
    return with_settings(tuned, settings)


def with_settings(weights: ScoreWeights, settings: Settings) -> ScoreWeights:
    """The weights with what the settings fix."""
    return replace(
        weights,
        alpha=weights.alpha if settings.alpha is None else settings.alpha,
        beta=weights.beta if settings.beta is None else settings.beta,
        expected=weights.expected if settings.expected is None else settings.expected,
    )
