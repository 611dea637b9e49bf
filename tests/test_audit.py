"""``.ci/audit`` with a stand-in for pip-audit: what it makes of each answer."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

AUDIT = Path(__file__).resolve().parents[1] / ".ci" / "audit"
HEAD = """#!/usr/bin/env bash
case "$*" in *--version*) exit 0;; *--local*) echo "the packages here"; exit 7;; esac
"""


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [("echo 'pillow 9.0.0 PYSEC-1'; exit 1", 7, "the packages here"), ("exit 0", 0, "no record"),
     ("echo 'no network' >&2; exit 1", 0, "can be reached")],
)  # fmt: skip
def test_the_packages_are_audited_when_the_index_knows_of_holes(
    tmp_path: Path, answer: str, status: int, said: str
) -> None:
    program = tmp_path / "pip-audit"
    program.write_text(f"{HEAD}{answer}\n")
    program.chmod(0o755)
    done = subprocess.run([AUDIT], env={**os.environ, "BIN": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == status
    assert said in done.stdout + done.stderr


def test_without_the_program_nothing_is_called_audited(tmp_path: Path) -> None:
    done = subprocess.run([AUDIT], env={**os.environ, "BIN": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode != 0
