"""The documentation against what it documents: commands, links, the tree, the two languages, SQL, tables of names."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

import fvrec
from fvrec.cli import app
from fvrec.config import PRESETS
from fvrec.schema import FIELDS, OTHER, UNKNOWN, VALUES
from tasks.report import FILES, REPORTED
from warehouse.db import migrate
from warehouse.read import Warehouse

ROOT = Path(__file__).resolve().parents[1]
READMES = ("README.md", "README.zh-CN.md")
PLAN = "docs/vlm_rec_plan.md"
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
IN_TREE = ("fvrec", "warehouse", "tasks", "flows", "app", "benchmarks")
TREE_SUFFIXES = (".py", ".toml", ".sql", ".j2")
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of one language, without their common indentation."""
    found = (body for kind, body in _FENCE.findall(read(page)) if kind == language)
    return ["\n".join(line.strip() if language == "sh" else line for line in body.splitlines()) for body in found]


def inline_code(page: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", _FENCE.sub("", read(page))))


def commands(command: object, words: tuple[str, ...] = ("fvrec",)) -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    """Every command that does something, by its words."""
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from commands(inner, (*words, name))
    else:
        assert isinstance(command, TyperCommand)
        yield words, command


COMMANDS = dict(commands(get_command(app)))


def shell_lines(page: str) -> list[list[str]]:
    """What a reader would type: words of each line in ``sh`` blocks, comments and variable settings left out."""
    lines = (shlex.split(line, comments=True) for block in blocks(page, "sh") for line in block.splitlines())
    return [[word for at, word in enumerate(words) if at or "=" not in word] for words in lines if words]


def find_command(words: list[str]) -> tuple[tuple[str, ...], TyperCommand] | None:
    return next(((name, command) for name, command in COMMANDS.items() if tuple(words[: len(name)]) == name), None)


@pytest.mark.parametrize("page", READMES)
def test_every_command_is_documented(page: str) -> None:
    documented = inline_code(page)
    assert [" ".join(name) for name in COMMANDS if " ".join(name) not in documented] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_documented_command_can_be_typed(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    for words in shell_lines(page):
        if words[0] == "fvrec":
            found = find_command(words)
            assert found, f"no such command: {words}"
            name, command = found
            command.make_context(" ".join(name), words[len(name) :]).close()  # a wrong option raises
        elif words[0] == "make":
            assert words[1] in targets, words
        elif words[:2] == ["python", "-m"]:
            assert importlib.util.find_spec(words[2]), words


@pytest.mark.parametrize("page", PAGES)
def test_commands_named_in_passing_exist(page: str) -> None:
    named = [code.split() for code in inline_code(page) if re.fullmatch(r"fvrec [a-z].*", code)]
    assert [words for words in named if not find_command(words)] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_local_link_resolves(page: str) -> None:
    text = _FENCE.sub("", read(page))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), f"{page} links to {target}"
        if anchor:
            assert anchor in headings(file), f"{page} links to {target}"


def headings(file: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", _FENCE.sub("", file.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_two_readmes_say_the_same() -> None:
    english, chinese = READMES
    for language in ("sh", "python", "sql"):
        assert blocks(english, language) == blocks(chinese, language)
    levels = [re.findall(r"^(#+) ", _FENCE.sub("", read(page)), re.MULTILINE) for page in READMES]
    assert levels[0] == levels[1]
    assert inline_code(english) == inline_code(chinese)
    assert list(tree(english)) == list(tree(chinese))


def tree(page: str) -> dict[str, str]:
    """path -> purpose, of the block that begins with ``fvrec/``; folders end in a slash."""
    block = next(body for body in blocks(page, "text") if body.startswith("fvrec/"))
    found: dict[str, str] = {}
    above: list[str] = []
    for line in block.splitlines():
        name, _, purpose = line.strip().partition(" ")
        del above[(len(line) - len(line.lstrip())) // 2 :]
        found["".join([*above, name])] = purpose.strip()
        if name.endswith("/"):
            above.append(name)
    return found


@pytest.mark.parametrize("page", READMES)
def test_the_tree_gives_every_file_one_purpose(page: str) -> None:
    documented = tree(page)
    files = (path for package in IN_TREE for path in (ROOT / package).rglob("*") if path.suffix in TREE_SUFFIXES)
    # A package's own line speaks for its __init__.py.
    present = {path.relative_to(ROOT).as_posix() for path in files if path.name != "__init__.py"}
    listed = {name for name in documented if not name.endswith("/")}
    assert present - listed == set(), "not in the tree"
    assert {name for name in documented if not (ROOT / name).exists()} == set(), "in the tree only"
    assert [name for name, purpose in documented.items() if not purpose] == []
    purposes = [purpose for name, purpose in documented.items() if name in listed]
    assert len(purposes) == len(set(purposes)), "two files with one purpose"


def test_the_sql_that_is_shown_runs(tmp_path: Path) -> None:
    migrate(tmp_path / "empty.duckdb")
    warehouse = Warehouse(tmp_path / "empty.duckdb")
    typed = [words[2] for words in shell_lines("README.md") if words[:2] == ["fvrec", "sql"]]
    shown = re.findall(r"\.sql\(\"(.+?)\"\)", "\n".join(blocks("README.md", "python")))
    assert typed, "no example of fvrec sql"
    assert shown, "no example for SQL clients"
    for query in [*typed, *shown]:
        assert warehouse.query(query).columns


def test_every_relation_and_view_is_documented(tmp_path: Path) -> None:
    migrate(tmp_path / "empty.duckdb")
    names = Warehouse(tmp_path / "empty.duckdb").query(
        "select table_name from information_schema.tables where table_name <> 'schema_migrations'"
    )
    assert {name for (name,) in names.rows} - inline_code("README.md") == set()


def test_reports_stages_and_presets_are_documented() -> None:
    assert set(FILES) - inline_code("README.md") == set()
    assert set(PRESETS) - inline_code("README.md") == set()
    assert {*REPORTED, "reports"} - inline_code(PLAN) == set()


def test_the_plan_has_the_schema() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([a-z0-9_ ]+) \|$", read(PLAN), re.MULTILINE))
    assert {field: rows.get(field, "").split() for field in FIELDS} == {
        field: [value for value in VALUES[field] if value != UNKNOWN] for field in FIELDS
    }
    assert OTHER in rows["category"].split()


def test_the_changelog_names_this_version() -> None:
    assert re.search(rf"^## \[?{re.escape(fvrec.__version__)}\]?", read("CHANGELOG.md"), re.MULTILINE)


def test_the_design_notes_name_what_is_there() -> None:
    """Each function and class of a block stands in the module that the comment above it names."""
    wrong, module = [], ROOT
    for line in "\n".join(blocks("docs/design.md", "python")).splitlines():
        heading = re.match(r"# ([\w/]+\.py)", line)
        module = ROOT / heading[1] if heading else module
        for found in re.finditer(r"\b(?:def|class) (\w+)|; (\w+)\(", line.split("  # ")[0]):
            name = found[1] or found[2]
            if not re.search(rf"\b(def|class|import)\b.*\b{name}\b", module.read_text(encoding="utf-8")):
                wrong.append((module.name, name))
    assert wrong == []


@pytest.mark.parametrize("readme", READMES)
def test_every_figure_of_the_results_is_a_kept_row(readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    block = text.split("<!-- results:begin -->")[1].split("<!-- results:end -->")[0]
    shown = set(re.findall(r"(?<![\d.])-?\d\.\d{3}(?!\d)", block))
    kept: set[str] = set()
    for file in (ROOT / "docs" / "results").glob("*.json"):
        for row in json.loads(file.read_text(encoding="utf-8")):
            kept |= {f"{row[name]:.3f}" for name in ("value", "ci_low", "ci_high") if row[name] is not None}
    assert shown, "the README shows no result"
    assert shown <= kept, shown - kept
