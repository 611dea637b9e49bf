from __future__ import annotations

from collections.abc import Callable
from math import log2

import numpy as np
import pytest

from fvrec.errors import FvrecError
from fvrec.rl.bank import Bank
from fvrec.rl.requests import Request
from fvrec.rl.reward import ListReward, RewardConfig, list_reward

RED_PARTY = {"color": "red", "style": "party"}
RED_HOME = {"color": "red", "style": "home"}
BLUE = {"color": "blue"}


def running_over(requests: list[Request], config: RewardConfig) -> ListReward:
    rows = np.arange(len(requests))
    running = ListReward(Bank.of(requests), len(requests))
    running.start(rows, rows, np.full(len(rows), config.redundancy), np.full(len(rows), config.novelty))
    return running


def test_a_list_worked_out_by_hand(request_factory: Callable[..., Request]) -> None:
    request = request_factory([RED_PARTY, RED_HOME, BLUE], [0.5, 1.0, 0.25], long_tail=[0.5, 0.0, 1.0])
    running = running_over([request], RewardConfig(redundancy=0.1, novelty=0.2))
    # First: full discount, nothing to repeat, a quarter of its tail plus a new style: (0.5 + 1) / 2.
    first = running.append(np.array([0]))
    assert (first.relevance[0], first.redundancy[0], first.novelty[0]) == (0.5, 0.0, 0.75)
    assert first.reward[0] == pytest.approx(0.5 + 0.2 * 0.75)
    # Second: shares the colour, not the style, with the first: 1/2; home is new; no tail.
    second = running.append(np.array([1]))
    assert second.relevance[0] == pytest.approx(1 / log2(3))
    assert (second.redundancy[0], second.novelty[0]) == (0.5, 0.5)
    # Third: its only known field differs from both; no known style cannot be a new one; all tail.
    third = running.append(np.array([2]))
    assert (third.relevance[0], third.redundancy[0], third.novelty[0]) == (0.125, 0.0, 0.5)
    total = 0.65 + (1 / log2(3) - 0.1 * 0.5 + 0.2 * 0.5) + (0.125 + 0.2 * 0.5)
    config = RewardConfig(redundancy=0.1, novelty=0.2)
    assert list_reward(request, np.array([0, 1, 2]), config) == pytest.approx(total)


def test_redundancy_is_to_the_most_similar_and_a_style_is_new_once(request_factory: Callable[..., Request]) -> None:
    request = request_factory([RED_PARTY, BLUE, RED_PARTY], [0.0, 0.0, 0.0])
    running = running_over([request], RewardConfig())
    for index in (0, 1):
        running.append(np.array([index]))
    twin = running.append(np.array([2]))
    assert (twin.redundancy[0], twin.novelty[0]) == (1.0, 0.0)


def test_lists_of_a_batch_do_not_touch_each_other(request_factory: Callable[..., Request]) -> None:
    one = request_factory([RED_PARTY, RED_HOME], [0.2, 0.9])
    two = request_factory([BLUE, RED_PARTY], [0.7, 0.1])
    config = RewardConfig(0.3, 0.4)
    together = running_over([one, two], config)
    orders = np.array([[1, 0], [0, 1]])
    totals = sum(together.append(orders[:, step]).reward for step in range(2))
    alone = [list_reward(one, orders[0], config), list_reward(two, orders[1], config)]
    np.testing.assert_allclose(totals, alone, rtol=1e-6)


@pytest.mark.parametrize("weights", [(-0.1, 0.0), (0.0, float("nan"))])
def test_weights_are_checked(weights: tuple[float, float]) -> None:
    with pytest.raises(FvrecError, match="negative or not finite"):
        RewardConfig(*weights)
