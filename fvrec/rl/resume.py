"""Where a training of the list policy stands, on disk: safetensors and JSON, as everything of a policy is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor

from fvrec.artifacts import atomic_write
from fvrec.records import CurvePoint
from fvrec.rl.policy import SetNetwork

LEARNING = "policy_learning"
"""The curve of mean reward per list over steps."""
_WEIGHTS, _STATE = "progress.safetensors", "progress.json"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass
class Progressed:
    """Rounds done, the curves so far, and the best round's judgement and weights."""

    rounds: int
    points: list[CurvePoint]
    judgement: float
    best: dict[str, Tensor]

    def note(self, judgement: float, network: SetNetwork) -> None:
        """Keep the network's weights if they are judged better than the best so far."""
        if judgement > self.judgement or not self.best:
            self.judgement = judgement
            self.best = {name: value.detach().clone() for name, value in network.state_dict().items()}


def save_progress(directory: Path, policy: BasePolicy, identity: str, state: Progressed) -> None:
    """Write weights, optimizer moments and the best round; the JSON, which holds their digest, last."""
    tensors = {f"policy.{name}": value.contiguous() for name, value in policy.state_dict().items()}
    tensors |= {f"best.{name}": value.contiguous() for name, value in state.best.items()}
    for index, moments in policy.optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{name}": moments[name].contiguous().clone() for name in _MOMENTS}
    weights = safetensors.torch.save({name: value.clone() for name, value in tensors.items()})
    description = {
        "identity": identity,
        "rounds": state.rounds,
        "judgement": state.judgement,
        "points": [[point.curve, point.x, point.y] for point in state.points],
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    atomic_write(directory / _WEIGHTS, weights)
    atomic_write(directory / _STATE, json.dumps(description) + "\n")


def load_progress(directory: Path, policy: BasePolicy, identity: str) -> Progressed | None:
    """Bring ``policy`` where it stood; None where nothing whole of this very training is kept."""
    if not ((directory / _STATE).is_file() and (directory / _WEIGHTS).is_file()):
        return None
    try:
        description: dict[str, Any] = json.loads((directory / _STATE).read_text(encoding="utf-8"))
    except ValueError:
        return None
    weights = (directory / _WEIGHTS).read_bytes()
    whole = hashlib.sha256(weights).hexdigest() == description.get("sha256")
    if not whole or description.get("identity") != identity:
        return None
    tensors = safetensors.torch.load(weights)
    policy.load_state_dict(_part(tensors, "policy."))
    optimizer = policy.optimizer.state_dict()
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in _part(tensors, "adam.").items():
        index, moment = name.split(".", 1)
        moments.setdefault(int(index), {})[moment] = value
    policy.optimizer.load_state_dict({"state": moments, "param_groups": optimizer["param_groups"]})
    points = [CurvePoint("rl", name, x, y) for name, x, y in description["points"]]
    return Progressed(description["rounds"], points, description["judgement"], _part(tensors, "best."))


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
