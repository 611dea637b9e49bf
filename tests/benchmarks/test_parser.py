"""The parser's benchmark runs, and writes what it measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.parser import HOSTILE, LIMIT_MS, main


def test_it_measures_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "parser.json"
    status = main(["--json", str(path), "--rounds", "3"])
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["requests"] > 150
    assert 0 < found["p50_ms"] <= found["p95_ms"]
    assert sum(name.startswith("ratio ") for name in found) == len(HOSTILE)
    if found["p95_ms"] > LIMIT_MS:
        assert status == 1
    assert "p95_ms" in capsys.readouterr().out
