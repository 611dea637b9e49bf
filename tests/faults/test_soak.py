"""Half a minute of questions to the page's service. An hour: ``python -m tests.faults.soak``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.soak import Soaked, soak

GOOD = Soaked(100, 4, (), 10.0, 20.0, 1000.0, 1001.0, 1010.0, 20.0, 3600.0)


@pytest.mark.slow
def test_questions_are_answered_over_publications(tmp_path: Path) -> None:
    found = soak(tmp_path / "root", minutes=0.3, items=1500, per_second=20.0, publish_every_s=3.0, seed=1)
    assert found.errors == ()
    assert found.questions > 20
    assert found.publications >= 3
    assert found.watched_s > 0
    assert found.last_mb < 1.2 * found.first_mb, "a leak of a copy of the catalogue would show"


def test_what_flat_means() -> None:
    assert GOOD.holds
    assert not replace(GOOD, slope_mb_per_hour=40.0).flat
    assert not replace(GOOD, slope_mb_per_hour=40.0, watched_s=60.0).flat, "a short look is no excuse"
    assert not replace(GOOD, errors=("broken",)).holds
