"""A mistake of the user's is one sentence and exit code 2, and nothing is written."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.flows.test_pipeline import fvrec


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("run", "--preset", "huge"), "unknown preset; where: --preset; found: 'huge'; allowed: smoke, tiny"),
        (("ingest", "--source", "shop"), "unknown source; where: --source; found: 'shop'; allowed: embedded, myntra"),
        (("run", "--source", "myntra"), "myntra"),
        (("run", "--limit", "0"), "--limit"),
        (("run", "--seed", "-1"), "--seed"),
        (("rl", "--preset", "smoke"), "stage rl needs stage ingest, which is not complete"),
        (("sql", "select 1"), "fvrec run"),
        (("ask", "blue dress"), "fvrec run"),
        (("demo",), "fvrec run"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    root = tmp_path / "root"
    outcome = fvrec(*arguments, "--root", str(root))
    assert outcome.code == 2, outcome.text
    assert sentence in " ".join(outcome.text.split())
    assert "Traceback" not in outcome.text
    made = [path for path in root.rglob("*") if path.is_file() and ".prefect" not in path.parts]
    assert made == []


def test_a_table_without_the_needed_columns(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    (raw / "images").mkdir(parents=True)
    (raw / "styles.csv").write_text("id,gender\n1,Men\n")
    outcome = fvrec("run", "--source", "myntra", "--raw", str(raw), "--root", str(tmp_path / "root"))
    assert outcome.code == 2, outcome.text
    assert "styles.csv" in outcome.text
    assert "articleType" in outcome.text
    assert not (tmp_path / "root").exists()


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = fvrec("serve", "--port", str(port), "--root", str(tmp_path))
    assert outcome.code == 2, outcome.text
    assert f"the port cannot be used; where: --port; found: '{port}: Address already in use'" in outcome.text
    assert "Traceback" not in outcome.text
