"""What the product's source must not hold: loads that run code, shells, and listeners on every interface."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("fvrec", "warehouse", "tasks", "flows", "app", "benchmarks")
LOADERS = frozenset({"load", "loads", "Unpickler", "read_pickle"})
RUNS_CODE = frozenset({"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "pandas"})
"""Modules whose loaders run what a file says."""
POLICIES = frozenset({"PPO", "MaskablePPO", "BaseAlgorithm", "BasePolicy", "A2C", "DQN", "SAC", "TD3"})
"""Stable-Baselines3 classes: ``X.load`` unpickles a zip."""


class Finder(ast.NodeVisitor):
    """Sentences about calls that must not be there."""

    def __init__(self) -> None:
        self.aliases: dict[str, str] = {}
        self.found: list[str] = []

    def visit_Import(self, node: ast.Import) -> None:
        for name in node.names:
            self.aliases[name.asname or name.name.split(".")[0]] = name.name

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for name in node.names:
            self.aliases[name.asname or name.name] = f"{node.module}.{name.name}"

    def visit_Call(self, node: ast.Call) -> None:
        name = self._name(node.func)
        given = {word.arg: word.value for word in node.keywords}
        for fault in self._faults(name, given):
            self.found.append(f"line {node.lineno}: {fault}")
        self.generic_visit(node)

    def _name(self, node: ast.expr) -> str:
        """The dotted name of what is called, its first part by what was imported under it."""
        if isinstance(node, ast.Attribute):
            return f"{self._name(node.value)}.{node.attr}"
        return self.aliases.get(node.id, node.id) if isinstance(node, ast.Name) else "?"

    def _faults(self, name: str, given: dict[str | None, ast.expr]) -> Iterator[str]:
        first, _, last = name.partition(".")[0], None, name.rpartition(".")[2]
        if name == "torch.load" and not _is(given.get("weights_only"), True):
            yield "torch.load without weights_only=True"
        if first in RUNS_CODE and last in LOADERS:
            yield f"{name} runs what the file says"
        if last == "load" and name.rpartition(".")[0].rpartition(".")[2] in POLICIES:
            yield f"{name} unpickles a zip"
        if _is(given.get("allow_pickle"), True):
            yield "numpy's allow_pickle=True"
        if _is(given.get("trust_remote_code"), True):
            yield "trust_remote_code=True"
        if name in ("eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load"):
            yield name
        if _is(given.get("shell"), True):
            yield "shell=True"
        if _is(given.get("unsafe_allow_javascript"), True):
            yield "scripts in the page"


def _is(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def faults(source: str) -> list[str]:
    finder = Finder()
    finder.visit(ast.parse(source))
    return finder.found


def files() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def test_nothing_that_runs_a_files_code_is_called() -> None:
    found = {path.relative_to(ROOT).as_posix(): faults(path.read_text(encoding="utf-8")) for path in files()}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "planted",
    [
        "import torch\ntorch.load('x')",
        "import torch as t\nt.load('x', weights_only=False)",
        "from torch import load\nload('x')",
        "import pickle\npickle.loads(b'')",
        "from pickle import Unpickler as U\nU(file)",
        "import joblib\njoblib.load('x')",
        "import pandas as pd\npd.read_pickle('x')",
        "from stable_baselines3 import PPO\nPPO.load('x.zip')",
        "from sb3_contrib import MaskablePPO as M\nM.load('x.zip')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "from transformers import AutoModel\nAutoModel.from_pretrained('x', trust_remote_code=True)",
        "import subprocess\nsubprocess.run('x', shell=True)",
        "eval('1')",
    ],
)
def test_the_finder_notices(planted: str) -> None:
    assert len(faults(planted)) == 1


@pytest.mark.parametrize(
    "innocent",
    [
        "import torch\ntorch.load('x', weights_only=True)",
        "import safetensors.torch\nsafetensors.torch.load(b'')",
        "import numpy as np\nnp.load('x')\nnp.load('x', allow_pickle=False)",
        "import json\njson.loads('1')",
        "model.eval()",
    ],
)
def test_the_finder_lets_pass(innocent: str) -> None:
    assert faults(innocent) == []


@pytest.mark.parametrize(
    ("planted", "rule"),
    [
        ("import pickle\npickle.loads(b'')", "B301"),
        ("import subprocess\nsubprocess.run('x', shell=True)", "B602"),
        ("import hashlib\nhashlib.md5(b'').hexdigest()", "B324"),
        ("import httpx\nhttpx.get('https://x', verify=False)", "B501"),
        ("HOST = '0.0.0.0'", "B104"),
    ],
)
def test_bandit_asks_what_is_left_to_it(tmp_path: Path, planted: str, rule: str) -> None:
    (tmp_path / "planted.py").write_text(f"{planted}\n")
    command = [sys.executable, "-m", "bandit", "-q", "-c", str(ROOT / "pyproject.toml"), str(tmp_path / "planted.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert rule in done.stdout


def test_nobody_listens_on_every_interface() -> None:
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in files()}
    assert [name for name, text in texts.items() if "0.0.0.0" in text or '"::"' in text] == []
