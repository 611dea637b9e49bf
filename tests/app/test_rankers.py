"""The slider and the weights: at rest the policy's own, at one end relevance alone, at the other all that it knows."""

from __future__ import annotations

from dataclasses import replace
from math import isnan
from pathlib import Path

import pytest

from app.rankers import DIVERSITY, own_weight, ranker_for, slider
from fvrec.config import Settings
from fvrec.rl.artifact import load_policy, save_policy
from fvrec.rl.episodes import WEIGHT_LIMIT
from fvrec.rl.reward import RewardConfig
from fvrec.rl.serve import PolicyRanker


def policy_at(weight: float, settings: Settings, folder: Path) -> Path:
    trained = load_policy(settings.policies / "rl")
    save_policy(replace(trained, feed=None).at(weight), folder)
    return folder


def shown(diversity: float, folder: Path) -> float:
    ranker = ranker_for("rl", diversity, folder)
    assert isinstance(ranker, PolicyRanker)
    assert ranker.redundancy == ranker.novelty
    return ranker.redundancy


@pytest.mark.parametrize("weight", [0.01, 0.03, 0.08, 0.3])
def test_the_slider_rests_at_the_policys_own_weight(demo_shop: Settings, tmp_path: Path, weight: float) -> None:
    folder = policy_at(weight, demo_shop, tmp_path / "rl")
    assert own_weight(folder) == weight
    assert shown(DIVERSITY, folder) == pytest.approx(weight)
    assert shown(0.0, folder) == 0
    assert shown(1.0, folder) == pytest.approx(WEIGHT_LIMIT)
    weights = [shown(place / 10, folder) for place in range(11)]
    assert weights == sorted(set(weights))


@pytest.mark.parametrize("weight", [0.0, WEIGHT_LIMIT])
def test_a_policy_at_an_end_leaves_the_slider_a_use(demo_shop: Settings, tmp_path: Path, weight: float) -> None:
    folder = policy_at(weight, demo_shop, tmp_path / "rl")
    weights = [shown(place / 10, folder) for place in range(11)]
    assert weights == sorted(set(weights))


@pytest.mark.parametrize("own", [0.01, 0.05, 0.3])
def test_a_point_of_a_curve_is_where_the_slider_makes_it(demo_shop: Settings, tmp_path: Path, own: float) -> None:
    folder = policy_at(own, demo_shop, tmp_path / "rl")
    for setting in (0.0, 0.01, 0.08, 0.45, 0.6):
        assert shown(slider("rl_swap", setting, own), folder) == pytest.approx(setting)
    assert slider("mmr", 0.7, own) == pytest.approx(DIVERSITY)
    assert isnan(slider("rl", None, own))


def test_without_a_policy_curves_are_drawn_by_the_weight_of_training(tmp_path: Path) -> None:
    assert own_weight(tmp_path / "none") == RewardConfig().redundancy
