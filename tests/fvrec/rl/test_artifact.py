from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from fvrec.errors import FvrecError
from fvrec.rl.artifact import load_policy, save_policy
from fvrec.rl.env import EnvConfig
from fvrec.rl.feedback import FeedbackConfig
from fvrec.rl.policy import PolicyConfig, SetNetwork
from fvrec.rl.requests import Request
from fvrec.rl.reward import RewardConfig
from fvrec.rl.train import TrainedPolicy


@pytest.fixture
def trained() -> TrainedPolicy:
    torch.manual_seed(0)
    config, reward = PolicyConfig(hidden=16), RewardConfig(0.3, 0.2)
    network = SetNetwork(config)
    for weight in network.parameters():
        torch.nn.init.normal_(weight)
    return TrainedPolicy(network.eval(), config, EnvConfig(7, reward), 5, 640, ())


def rewrite(directory: Path, **changes: Any) -> None:
    path = directory / "policy.json"
    description = json.loads(path.read_text()) | changes
    path.write_text(
        json.dumps({key: value for key, value in description.items() if key not in changes or value is not None})
    )


def test_a_policy_comes_back_whole(
    trained: TrainedPolicy, tmp_path: Path, request_factory: Callable[..., Request]
) -> None:
    paths = save_policy(trained, tmp_path / "policies")
    assert [path.suffix for path in paths] == [".safetensors", ".json"]
    loaded = load_policy(tmp_path / "policies")
    assert (loaded.policy, loaded.env, loaded.seed, loaded.timesteps) == (trained.policy, trained.env, 5, 640)
    pool = request_factory([{"color": "red"}, {"color": "blue"}, {"style": "party"}], [0.3, 0.2, 0.25]).pool
    assert load_policy(tmp_path / "policies").ranker().rank(pool, 3).tolist() == trained.ranker().rank(pool, 3).tolist()


def test_the_policy_for_feeds_comes_back_with_it_and_is_the_one_that_feeds(
    trained: TrainedPolicy, tmp_path: Path, request_factory: Callable[..., Request]
) -> None:
    network = SetNetwork(trained.policy)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight))
    feed = replace(trained, network=network.eval(), env=replace(trained.env, feedback=FeedbackConfig("dwell")))
    save_policy(replace(trained, feed=feed), tmp_path)
    loaded = load_policy(tmp_path)
    assert loaded.feed is not None
    assert loaded.feed.env == feed.env
    pool = request_factory([{"color": c} for c in ("red", "blue", "green", "black")], [0.3, 0.2, 0.25, 0.1]).pool
    alone = replace(feed, feed=None).ranker()
    firsts = [ranker.feed(pool, 4).next() for ranker in (loaded.ranker(), loaded.ranker().at(redundancy=0.3), alone)]
    assert len(set(firsts)) == 1
    (tmp_path / "feed" / "policy.safetensors").write_bytes(b"")
    with pytest.raises(FvrecError, match="not those that its description names"):
        load_policy(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 99}, "another schema_version"),
        ({"features": ["relevance"]}, "another features"),
        ({"format": "something"}, "another format"),
        ({"sha256": "0" * 64}, "not those that its description names"),
        ({"hidden": 8}, "do not fit"),
        ({"reward": None}, "lacks a key"),
        ({"reward": {"lambda": 1}}, "not what it should be"),
        ({"list_length": "ten"}, "not what it should be"),
    ],
)
def test_a_policy_of_another_making_is_refused(
    trained: TrainedPolicy, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    save_policy(trained, tmp_path)
    rewrite(tmp_path, **changes)
    with pytest.raises(FvrecError, match=message):
        load_policy(tmp_path)


def test_a_policy_of_another_catalogue_is_refused(trained: TrainedPolicy, tmp_path: Path) -> None:
    save_policy(replace(trained, source="myntra"), tmp_path)
    assert load_policy(tmp_path, source="myntra").source == "myntra"
    with pytest.raises(FvrecError, match=r"another catalogue: .* found: 'myntra'; allowed: hm"):
        load_policy(tmp_path, source="hm")


@pytest.mark.parametrize("weights", ["missing", "extra", "garbage"])
def test_weights_must_be_exactly_those_of_the_network(trained: TrainedPolicy, tmp_path: Path, weights: str) -> None:
    path, _ = save_policy(trained, tmp_path)
    state = {f"network.{name}": value for name, value in trained.network.state_dict().items()}
    if weights == "missing":
        state.pop("network.log_sharpness")
    else:
        state["stray"] = torch.zeros(1)
    data = b"not safetensors" if weights == "garbage" else safetensors.torch.save(state)
    path.write_bytes(data)
    rewrite(tmp_path, sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(FvrecError, match="do not fit"):
        load_policy(tmp_path)


def test_absent_and_unreadable_files_are_named(trained: TrainedPolicy, tmp_path: Path) -> None:
    with pytest.raises(FvrecError, match="description is missing"):
        load_policy(tmp_path)
    weights, description = save_policy(trained, tmp_path)
    weights.unlink()
    with pytest.raises(FvrecError, match="weights are missing"):
        load_policy(tmp_path)
    for text in ("{", "[]"):
        description.write_text(text)
        with pytest.raises(FvrecError, match=r"not (JSON|a JSON object)"):
            load_policy(tmp_path)
