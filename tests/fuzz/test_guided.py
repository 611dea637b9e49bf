"""A sample of the guided fuzzing: ``python -m tests.fuzz.guided`` is the long one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.fuzz import guided

RUNS = 500


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="no atheris for this system")
@pytest.mark.parametrize("kind", guided.KINDS)
def test_no_guided_input_breaks_a_parser(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert guided.main([kind, "--runs", str(RUNS), "--keep", str(tmp_path / "broken")]) == 0, capfd.readouterr().err
    assert f"number_of_executed_units: {RUNS}" in capfd.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="no atheris for this system")
def test_what_breaks_a_parser_is_told_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "from fvrec import schema\n"
        "judge = schema.parse_answer\n"
        "def broken(text):\n"
        "    if '}' not in text:\n"
        "        raise IndexError\n"
        "    return judge(text)\n"
        "schema.parse_answer = broken\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path.cwd()}")
    assert guided.main(["answers", "--runs", str(RUNS), "--keep", str(tmp_path / "broken")]) == 1
    assert any(path.name.startswith("broken-answers-crash-") for path in tmp_path.iterdir())


def test_an_unknown_parser_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        guided.main(["anwsers"])
    assert "choose from answers, requests" in capsys.readouterr().err
