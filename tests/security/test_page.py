"""``docs/security.md`` names a test for every threat, and each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_threat_has_a_test_that_exists() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    rows = [line for line in page.split("## Not trusted")[1].split("## Tools")[0].splitlines() if line.startswith("| ")]
    threats = rows[2:]
    named = [re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", line) for line in threats]
    assert threats
    assert [line for line, tests in zip(threats, named, strict=True) if len(tests) != 1] == []
    absent = [
        f"{file}::{name}"
        for ((file, name),) in named
        if not re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert absent == []
