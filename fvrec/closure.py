"""Which files of this project a module depends on: its import closure, read from the source without running it.

The digest of that closure is what a stage's "code version" means: an edit of a helper file re-runs the stages that
import it, however deep or late (imports inside functions count), and no others.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from fvrec.artifacts import digest_bytes, digest_json
from fvrec.errors import FvrecError

PROJECT_ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("fvrec", "warehouse", "tasks", "flows", "app")
DATA_SUFFIXES = (".toml", ".jsonl", ".sql", ".j2")


def code_digest(module: str, *, root: Path = PROJECT_ROOT) -> str:
    """Digest of the module's import closure over the project's packages, package data included.

    FvrecError when ``module`` is none of the project's. ``root`` is the folder that holds the packages.
    """
    return digest_json(
        {file.relative_to(root).as_posix(): digest_bytes(file.read_bytes()) for file in files(module, root)}
    )


def files(module: str, root: Path = PROJECT_ROOT) -> list[Path]:
    """The closure's files, sorted: modules, the packages that importing them runs, and those packages' data.

    Data are ``.toml``, ``.jsonl``, ``.sql`` and ``.j2`` files in a package's folder or in its folders that are no
    packages. The warehouse's views are left out: they hold nothing that a stage made, and are an input of publication
    alone.
    """
    if _locate(module, root) is None:
        raise FvrecError("no such module in this project", where=module, allowed=", ".join(PACKAGES))
    found: set[Path] = set()
    for name in modules(module, root):
        path = _locate(name, root)
        if path is not None:
            found.add(path)
            if path.name == "__init__.py":
                found.update(_package_data(path.parent))
    return sorted(found)


def modules(module: str, root: Path = PROJECT_ROOT) -> set[str]:
    """Names of all project modules that importing and using ``module`` can load, itself included."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _locate(name, root)
        if name in seen or path is None:
            continue
        seen.add(name)
        if "." in name:
            waiting.append(name.rpartition(".")[0])
        waiting.extend(_imports(name, path, path.stat().st_mtime_ns))
    return seen


@cache
def _imports(name: str, path: Path, _modified: int) -> tuple[str, ...]:
    is_package = path.name == "__init__.py"
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return tuple(target for node in ast.walk(tree) for target in _targets(node, name, is_package))


def _targets(node: ast.AST, name: str, is_package: bool) -> Iterator[str]:
    """Names that one node may import; those that are no modules are sorted out when they are looked for."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = _absolute(node, name, is_package)
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and _is_import_module(node.func) and node.args:
        argument = node.args[0]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument.value


def _absolute(node: ast.ImportFrom, name: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = name.split(".")
    keep = len(parts) - node.level + (1 if is_package else 0)
    return ".".join([*parts[:keep], *([node.module] if node.module else [])])


def _is_import_module(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        return function.attr == "import_module"
    return isinstance(function, ast.Name) and function.id in ("import_module", "__import__")


def _locate(module: str, root: Path) -> Path | None:
    parts = module.split(".")
    if parts[0] not in PACKAGES:
        return None
    base = root.joinpath(*parts)
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def _package_data(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name == "views" and folder.name == "warehouse":
            continue
        if path.is_file() and path.suffix in DATA_SUFFIXES:
            yield path
        elif path.is_dir() and path.name != "__pycache__" and not (path / "__init__.py").exists():
            yield from _package_data(path)
