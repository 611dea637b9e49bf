"""A policy on disk: ``policy.safetensors`` and ``policy.json``. Nothing that runs code when it is opened."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError

from fvrec.artifacts import atomic_write
from fvrec.errors import FvrecError
from fvrec.rl.env import EnvConfig
from fvrec.rl.features import FEATURES
from fvrec.rl.policy import PolicyConfig, PolicyRanker, SetNetwork
from fvrec.rl.reward import RewardConfig
from fvrec.rl.train import TrainedPolicy
from fvrec.schema import SCHEMA_VERSION

WEIGHTS_FILE, DESCRIPTION_FILE = "policy.safetensors", "policy.json"
FORMAT = "fvrec-list-policy-1"


def save_policy(trained: TrainedPolicy, directory: Path) -> tuple[Path, Path]:
    """Write the two files (the description, which holds the weights' SHA-256, last) and return their paths."""
    weights = safetensors.torch.save(dict(trained.network.state_dict()))
    description = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "features": list(FEATURES),
        "hidden": trained.policy.hidden,
        "list_length": trained.env.list_length,
        "reward": asdict(trained.env.reward),
        "seed": trained.seed,
        "timesteps": trained.timesteps,
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    paths = directory / WEIGHTS_FILE, directory / DESCRIPTION_FILE
    atomic_write(paths[0], weights)
    atomic_write(paths[1], json.dumps(description, indent=2) + "\n")
    return paths


def load_policy(directory: Path) -> TrainedPolicy:
    """Read a policy back; its learning curve is not kept.

    Raises FvrecError when a file is missing or damaged, was made for another format, schema version or list of
    features, when the weights are not those that the description names, or when any key is missing or left over.
    """
    description = _read_description(directory / DESCRIPTION_FILE)
    path = directory / WEIGHTS_FILE
    if not path.is_file():
        raise FvrecError("the policy's weights are missing", where=path)
    weights = path.read_bytes()
    if hashlib.sha256(weights).hexdigest() != description["sha256"]:
        raise FvrecError("the policy's weights are not those that its description names", where=path)
    policy, env = _configs(description, directory / DESCRIPTION_FILE)
    network = SetNetwork(policy)
    try:
        network.load_state_dict(safetensors.torch.load(weights), strict=True)
    except (RuntimeError, SafetensorError) as error:
        raise FvrecError(f"the policy's weights do not fit its network: {error}", where=path) from error
    return TrainedPolicy(network.eval(), policy, env, description["seed"], description["timesteps"], ())


def load_ranker(directory: Path) -> PolicyRanker:
    """The saved policy as a Ranker; errors as ``load_policy``."""
    return load_policy(directory).ranker()


def _read_description(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FvrecError("the policy's description is missing", where=path)
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FvrecError(f"the policy's description is not JSON: {error}", where=path) from error
    if not isinstance(description, dict):
        raise FvrecError("the policy's description is not a JSON object", where=path)
    expected = {"format": FORMAT, "schema_version": SCHEMA_VERSION, "features": list(FEATURES)}
    for key, value in expected.items():
        if description.get(key) != value:
            raise FvrecError(
                f"the policy was made for another {key}", where=path, found=description.get(key), allowed=str(value)
            )
    missing = {"hidden", "list_length", "reward", "seed", "timesteps", "sha256"} - set(description)
    if missing:
        raise FvrecError("the policy's description lacks a key", where=path, found=sorted(missing))
    return description


def _configs(description: dict[str, Any], path: Path) -> tuple[PolicyConfig, EnvConfig]:
    counts = {key: description[key] for key in ("hidden", "list_length", "seed", "timesteps")}
    weights = description["reward"]
    whole = all(isinstance(value, int) for value in counts.values())
    if not whole or not isinstance(weights, dict) or set(weights) != {part.name for part in fields(RewardConfig)}:
        raise FvrecError(
            "the policy's description is not what it should be", where=path, found={**counts, "reward": weights}
        )
    reward = RewardConfig(**weights)
    return PolicyConfig(hidden=counts["hidden"], reward=reward), EnvConfig(counts["list_length"], reward)
