from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from fvrec.records import CurvePoint, Metric, Ranking
from fvrec.report_rl import Verdicts, lists_by_user, render_rl, verdicts


def gain(against: str, low: float | None, high: float | None, strategy: str = "rl") -> Metric:
    return Metric(
        "rl", "true_reward_difference", 0.0, strategy=strategy, params={"against": against}, ci_low=low, ci_high=high
    )


def test_an_interval_on_one_side_of_zero_decides_and_the_oracle_is_no_rival() -> None:
    rows = [
        gain("mmr", 0.01, 0.03),
        gain("denoised_swap", -0.01, 0.02),
        gain("rl_swap", -0.03, -0.01),
        gain("oracle", -0.5, -0.4),
        gain("base_rank", None, None),
        gain("ssd", 0.1, 0.2, strategy="greedy"),
    ]
    assert verdicts(rows) == Verdicts(("mmr",), ("denoised_swap",), ("rl_swap",))
    assert verdicts(rows).unlearnt == ()
    assert verdicts([*rows, gain("base_rank", -0.2, -0.1)]).unlearnt == ("base_rank",)


def ranked(user: str, strategy: str, *items: str) -> list[Ranking]:
    return [Ranking(user, strategy, place, item, 0.0) for place, item in enumerate(items)]


def test_lists_stand_side_by_side_for_ten_users_and_what_is_shown_is_ordered() -> None:
    rows = [row for n in range(12) for row in ranked(f"u{n:02d}", "rl", "b", "a")][::-1]
    rows += ranked("u00", "mmr", "a", "c") + ranked("u00", "random", "c", "a")
    found = lists_by_user(rows)
    assert len(found) == 10
    assert found["u00"] == {"mmr": ["a", "c"], "rl": ["b", "a"]}


@pytest.mark.parametrize("full", [True, False])
def test_pictures_are_the_same_every_time_and_need_neither_rows_nor_photos(tmp_path: Path, full: bool) -> None:
    curves = [CurvePoint("rl", name, x, 1 - x) for name in ("mmr_tradeoff", "policy_judged") for x in (0.1, 0.4)]
    rows = ranked("u", "rl", "gone", "b")
    first, again = (render_rl(curves if full else [], rows if full else [], {}, tmp_path) for _ in range(2))
    assert first == again
    for picture in first.values():
        assert Image.open(BytesIO(picture)).format == "PNG"
