"""What an ablation is known by, and what it refuses to take for its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks.ablation import Run, _spent
from fvrec.config import get_preset
from fvrec.errors import FvrecError


def test_a_budget_without_swapped_photos_has_the_name_that_it_had_before_there_were_any() -> None:
    plain = get_preset("tiny")
    assert "swapped_photos" not in _spent(plain)
    assert "tuning" not in _spent(plain)
    tuned = _spent(plain.tuned())
    assert tuned["swapped_photos"] == 0.3
    assert tuned["tuning"]["blocks"] == 5


def test_a_model_of_another_plan_is_not_taken_for_this_one(tmp_path: Path) -> None:
    unused = cast(Any, SimpleNamespace())
    tuned = get_preset("tiny").tuned()
    run = Run(tuned, unused, unused, tmp_path, 7, "shop", ("color",))
    run.folder("lora").mkdir()
    run.note_plan("lora")
    run.train("lora")  # the same plan: nothing to do
    other = replace(run, preset=replace(tuned, training=replace(tuned.training, swapped_photos=0.1)))
    with pytest.raises(FvrecError, match=r"another plan lies there.*swapped_photos.*another --work"):
        other.train("lora")
