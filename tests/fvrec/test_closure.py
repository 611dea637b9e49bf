"""The import closure that stands for a stage's code version."""

from __future__ import annotations

from pathlib import Path

import pytest

from fvrec.closure import PROJECT_ROOT, code_digest, files, modules
from fvrec.errors import FvrecError

TREE = {
    "fvrec/__init__.py": "",
    "fvrec/rl/__init__.py": "",
    "fvrec/rl/policy.py": "from fvrec.rl import env\n",
    "fvrec/rl/env.py": "X = 1\n",
    "fvrec/rl/notes.toml": "a = 1\n",
    "fvrec/vlm/__init__.py": "",
    "fvrec/vlm/train.py": "from .model import build\n",
    "fvrec/vlm/model.py": "import torch\n",
    "fvrec/words/__init__.py": "",
    "fvrec/words/zh.toml": "a = 1\n",
    "warehouse/__init__.py": "",
    "warehouse/write.py": "",
    "warehouse/migrations/001.sql": "create table t (a int);\n",
    "warehouse/views/latest.sql": "create view v as select 1;\n",
    "tasks/__init__.py": "",
    "tasks/rl.py": (
        "import importlib\ndef run():\n    from fvrec.rl.policy import X\n    importlib.import_module('fvrec.words')\n"
    ),
    "tasks/sft.py": "import fvrec.vlm.train as t\nfrom warehouse import write\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def _names(module: str, root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in files(module, root)}


def test_late_imports_relative_imports_and_package_data_belong_to_the_closure(tree: Path) -> None:
    assert _names("tasks.rl", tree) == {
        "tasks/__init__.py",
        "tasks/rl.py",
        "fvrec/__init__.py",
        "fvrec/rl/__init__.py",
        "fvrec/rl/policy.py",
        "fvrec/rl/env.py",
        "fvrec/rl/notes.toml",
        "fvrec/words/__init__.py",
        "fvrec/words/zh.toml",
    }
    assert {"fvrec/vlm/model.py", "warehouse/migrations/001.sql"} < _names("tasks.sft", tree)


@pytest.mark.parametrize(
    ("edited", "changed"),
    [
        ("fvrec/rl/policy.py", {"tasks.rl"}),
        ("fvrec/rl/env.py", {"tasks.rl"}),
        ("fvrec/words/zh.toml", {"tasks.rl"}),
        ("fvrec/vlm/model.py", {"tasks.sft"}),
        ("warehouse/migrations/001.sql", {"tasks.sft"}),
        ("warehouse/views/latest.sql", set()),
        ("fvrec/__init__.py", {"tasks.rl", "tasks.sft"}),
    ],
)
def test_an_edit_changes_the_digest_of_those_that_depend_on_it(tree: Path, edited: str, changed: set[str]) -> None:
    before = {name: code_digest(name, root=tree) for name in ("tasks.rl", "tasks.sft")}
    with (tree / edited).open("a") as file:
        file.write("\n# edited\n" if edited.endswith(".py") else "\n-- edited\n")
    assert {name for name, digest in before.items() if code_digest(name, root=tree) != digest} == changed


def test_a_new_import_is_seen_in_the_same_process(tree: Path) -> None:
    assert "fvrec.vlm.train" not in modules("tasks.rl", tree)
    (tree / "fvrec/rl/env.py").write_text("import fvrec.vlm.train\n")
    assert "fvrec.vlm.train" in modules("tasks.rl", tree)


def test_an_unknown_module_is_an_error(tree: Path) -> None:
    with pytest.raises(FvrecError, match=r"no such module.*tasks\.absent"):
        code_digest("tasks.absent", root=tree)


def test_in_this_project_the_policy_belongs_to_the_rl_stage_alone() -> None:
    stages = [path.stem for path in (PROJECT_ROOT / "tasks").glob("*.py") if path.stem != "__init__"]
    depending = {name for name in stages if "fvrec.rl.policy" in modules(f"tasks.{name}")}
    assert depending == {"rl"}
