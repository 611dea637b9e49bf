"""A policy on disk: ``policy.safetensors`` and ``policy.json``, and the same two in ``feed/`` where one for feeds goes
with it. Nothing that runs code when it is opened.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from fvrec.artifacts import atomic_write
from fvrec.errors import FvrecError
from fvrec.rl.env import EnvConfig
from fvrec.rl.episodes import WEIGHT_LIMIT
from fvrec.rl.features import FEATURES
from fvrec.rl.feedback import FeedbackConfig
from fvrec.rl.policy import PolicyConfig, SetNetwork
from fvrec.rl.reader import Reader, ReaderConfig
from fvrec.rl.reward import RewardConfig
from fvrec.rl.train import TrainedPolicy
from fvrec.schema import SCHEMA_VERSION

WEIGHTS_FILE, DESCRIPTION_FILE = "policy.safetensors", "policy.json"
FEED = "feed"
FORMAT = "fvrec-list-policy-3"
_COUNTS = ("hidden", "list_length", "seed", "timesteps")
_PARTS = {"reward": RewardConfig, "feedback": FeedbackConfig, "reader": ReaderConfig}


def save_policy(trained: TrainedPolicy, directory: Path) -> tuple[Path, Path]:
    """Write the two files (the description, which holds the weights' SHA-256, last) and return their paths.

    The policy for feeds goes into its own folder, without the reader, which it shares.
    """
    if trained.feed is not None:
        save_policy(replace(trained.feed, reader=None), directory / FEED)
    tensors = {f"network.{name}": value for name, value in trained.network.state_dict().items()}
    if trained.reader is not None:
        tensors |= {f"reader.{name}": value for name, value in trained.reader.state_dict().items()}
    weights = safetensors.torch.save({name: value.contiguous() for name, value in tensors.items()})
    env = trained.env
    description = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "features": list(FEATURES),
        "source": trained.source,
        "hidden": trained.policy.hidden,
        "gated": trained.policy.gated,
        "list_length": env.list_length,
        "vary": env.vary,
        "weight_limit": WEIGHT_LIMIT,
        "reward": asdict(env.reward),
        "feedback": asdict(env.feedback) if env.feedback else None,
        "reader": asdict(trained.reader.config) if trained.reader else None,
        "seed": trained.seed,
        "timesteps": trained.timesteps,
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    paths = directory / WEIGHTS_FILE, directory / DESCRIPTION_FILE
    atomic_write(paths[0], weights)
    atomic_write(paths[1], json.dumps(description, indent=2) + "\n")
    return paths


def load_policy(directory: Path, *, source: str | None = None) -> TrainedPolicy:
    """Read a policy back; its learning curve is not kept. ``source``: the catalogue that it must have been trained on.

    Raises FvrecError when a file is missing or damaged, was made for another format, schema version, list of features
    or source, when the weights are not those that the description names, or when any key is missing or left over.
    """
    path = directory / DESCRIPTION_FILE
    description = _read_description(path)
    if source is not None and description["source"] not in ("", source):
        raise FvrecError(
            "the list policy was trained on another catalogue: `fvrec rl` trains one on this",
            where=path,
            found=description["source"],
            allowed=source,
        )
    weights = _read_weights(directory / WEIGHTS_FILE, description["sha256"])
    policy, env, reader_config = _configs(description, path)
    # Fresh modules draw weights that are overwritten at once: the caller's random stream must not move.
    with torch.random.fork_rng(devices=[]):
        network = SetNetwork(policy)
        reader = Reader(reader_config) if reader_config else None
    try:
        tensors = safetensors.torch.load(weights)
        network.load_state_dict(_part(tensors, "network."), strict=True)
        if reader:
            reader.load_state_dict(_part(tensors, "reader."), strict=True)
    except (RuntimeError, SafetensorError) as error:
        raise FvrecError(f"the policy's weights do not fit its network: {error}", where=directory) from error
    extra = [name for name in tensors if not name.startswith(("network.", "reader.") if reader else "network.")]
    if extra:
        raise FvrecError("the policy's weights do not fit its network: some are left over", found=extra[:5])
    counts = description["seed"], description["timesteps"], ()
    reader = reader.eval() if reader else None
    feed = load_policy(directory / FEED, source=source) if (directory / FEED).is_dir() else None
    return TrainedPolicy(
        network.eval(),
        policy,
        env,
        *counts,
        reader,
        description["source"],
        feed=None if feed is None else replace(feed, reader=reader),
    )


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _read_weights(path: Path, digest: str) -> bytes:
    if not path.is_file():
        raise FvrecError("the policy's weights are missing", where=path)
    weights = path.read_bytes()
    if hashlib.sha256(weights).hexdigest() != digest:
        raise FvrecError("the policy's weights are not those that its description names", where=path)
    return weights


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
    missing = {*_COUNTS, *_PARTS, "source", "vary", "gated", "sha256"} - set(description)
    if missing:
        raise FvrecError("the policy's description lacks a key", where=path, found=sorted(missing))
    return description


def _configs(description: dict[str, Any], path: Path) -> tuple[PolicyConfig, EnvConfig, ReaderConfig | None]:
    counts = {key: description[key] for key in _COUNTS}
    parts = {key: description[key] for key in _PARTS}
    right = all(isinstance(value, int) for value in counts.values()) and all(
        isinstance(description[key], bool) for key in ("vary", "gated")
    )
    for key, kind in _PARTS.items():
        names = {part.name for part in fields(kind)}
        right &= parts[key] is None if key != "reward" and parts[key] is None else _has_keys(parts[key], names)
    if not right:
        raise FvrecError("the policy's description is not what it should be", where=path, found={**counts, **parts})
    feedback = FeedbackConfig(**parts["feedback"]) if parts["feedback"] else None
    env = EnvConfig(counts["list_length"], RewardConfig(**parts["reward"]), description["vary"], feedback)
    reader = ReaderConfig(**parts["reader"]) if parts["reader"] else None
    return PolicyConfig(hidden=counts["hidden"], gated=description["gated"]), env, reader


def _has_keys(found: Any, names: set[str]) -> bool:
    return isinstance(found, dict) and set(found) == names
