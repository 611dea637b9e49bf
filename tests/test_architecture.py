"""The import contracts hold, and each of them notices a planted violation."""

from __future__ import annotations

import pkgutil
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("fvrec", "warehouse", "tasks", "flows", "app")

PLANTED = {
    "fvrec is a library": ("fvrec/stats.py", "import duckdb"),
    "fvrec is a library, prefect": ("fvrec/rerank/pool.py", "import prefect"),
    "fvrec is a library, rooms": ("fvrec/artifacts.py", "from warehouse import db"),
    "nothing imports the command line": ("tasks/stage.py", "from fvrec import cli"),
    "nothing imports the command line, library": ("fvrec/report.py", "from fvrec import cli"),
    "nothing imports the command line, package": ("fvrec/vlm/extract.py", "import fvrec.cli"),
    "warehouse": ("warehouse/db.py", "import torch"),
    "tasks": ("tasks/stage.py", "from flows import pipeline"),
    "flows": ("flows/pipeline.py", "from warehouse import read"),
    "flows, torch": ("flows/pipeline.py", "import torch"),
    "app": ("app/service.py", "from warehouse import write"),
    "app, prefect": ("app/service.py", "import prefect"),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def _lint(tree: Path) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command; lint_imports_command()"
    )
    command = [sys.executable, "-c", code, "--no-cache"]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=300)


def test_the_contracts_hold(tree: Path) -> None:
    result = _lint(tree)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


@pytest.mark.parametrize("planted", PLANTED, ids=str)
def test_a_planted_violation_breaks_its_contract(tree: Path, planted: str) -> None:
    file, line = PLANTED[planted]
    path = tree / file
    before = path.read_text()
    try:
        path.write_text(f"{before}\n{line}\n")
        result = _lint(tree)
    finally:
        path.write_text(before)
    assert result.returncode == 1
    assert "1 broken" in result.stdout
    broken = next(text for text in result.stdout.splitlines() if " BROKEN" in text)
    assert broken.startswith(planted.split(",")[0])


def test_the_contract_of_the_command_line_names_all_of_the_library() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    named = next(contract["source_modules"] for contract in contracts if contract["id"] == "nobody-imports-the-cli")
    present = {f"fvrec.{module.name}" for module in pkgutil.iter_modules([str(ROOT / "fvrec")])}
    assert set(named) == {*present, *PACKAGES} - {"fvrec", "fvrec.cli"}
    # The package's own file cannot be named there without its whole contents, the command line among them.
    assert "cli" not in (ROOT / "fvrec" / "__init__.py").read_text()


def test_only_the_warehouse_holds_sql() -> None:
    holders = {
        path.relative_to(ROOT).parts[0]
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if "import duckdb" in path.read_text()
    }
    assert holders == {"warehouse"}
