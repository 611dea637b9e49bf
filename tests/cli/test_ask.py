"""``fvrec ask`` as it is typed: lists, JSON, reference pictures, and what is said of bad ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from fvrec.cli import main
from fvrec.config import Settings
from fvrec.records import Item
from fvrec.rerank.notes import LONGEST_QUOTE
from fvrec.rerank.weights import weights_file
from tests.app.conftest import own_shop  # noqa: F401 - a fixture
from warehouse.read import Warehouse

BAD = {
    "not a picture": b"hello, I am a text",
    "empty": b"",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "half a jpeg": b"\xff\xd8\xff\xe0" + b"0" * 200,
}


class Said:
    """What a command printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def answer(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


@pytest.fixture
def say(demo_shop: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs ``fvrec ask`` with these arguments on the shop."""

    def run(*arguments: str, root: Path = demo_shop.root) -> Said:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["fvrec", "ask", *arguments, "--source", "embedded", "--root", str(root)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return Said(int(ended.value.code or 0), printed.out, printed.err)

    return run


def item(settings: Settings) -> Item:
    return Warehouse(settings.snapshot).items("embedded", ["test"])[0]


def test_the_answer_as_json(say: Any) -> None:
    said = say("蓝色度假风长袖连衣裙", "--json", "--k", "4", "--strategy", "mmr")
    assert said.code == 0
    answer = said.answer
    assert (answer["language"], answer["strategy"], len(answer["items"])) == ("zh", "mmr", 4)
    asked = {one["field"]: one for one in answer["constraints"]}
    assert {name: one["values"] for name, one in asked.items()} == {
        "category": ["dress"], "color": ["blue"], "style": ["vacation"], "sleeve_length": ["long"],
    }  # fmt: skip
    for shown in answer["items"]:
        assert [claim["field"] for claim in shown["claims"]] == list(asked)
        for claim in shown["claims"]:
            assert claim["value"] == shown["attributes"][claim["field"]]
            assert claim["confidence"] == shown["confidence"][claim["field"]]
            assert claim["kind"] in ("met", "conflict", "unknown")
    assert "要求" in answer["items"][0]["explanation"]


def test_the_answer_as_a_table(say: Any) -> None:
    said = say("blue", "--k", "3")
    assert said.code == 0
    assert "color=blue" in said.out.replace("\n", "")


def test_a_picture_alone_finds_its_product(say: Any, demo_shop: Settings) -> None:
    photo = demo_shop.root / item(demo_shop).image_path
    said = say("--like", str(photo), "--json", "--k", "2")
    assert said.answer["items"][0]["item_id"] == item(demo_shop).item_id
    assert said.answer["notes"] == []


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize(
    ("text", "sentence"), [("红色", "参考图无法使用"), ("red", "the reference picture cannot be used")]
)
def test_a_bad_picture_is_said_in_the_users_language(
    say: Any, tmp_path: Path, name: str, text: str, sentence: str
) -> None:
    (tmp_path / "photo.jpg").write_bytes(BAD[name])
    said = say(text, "--like", str(tmp_path / "photo.jpg"))
    assert (said.code, said.out) == (2, "")
    assert sentence in said.err


@pytest.mark.parametrize("make", ["missing", "a folder"])
def test_a_picture_that_is_no_file(say: Any, tmp_path: Path, make: str) -> None:
    said = say("红色", "--like", str(tmp_path if make == "a folder" else tmp_path / "no.jpg"))
    assert said.code == 2
    assert "参考图无法使用" in said.err


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("", "blind"),
        ("🙂🙂", "blind"),
        ("red, not red", "contradiction"),
        ("红色，不要红色", "contradiction"),
        ("x" * 10_000, "unrecognised"),
        ("'; DROP TABLE items; --", "unrecognised"),
        ("<b>[bold]hi[/bold]</b>", "unrecognised"),
        ("saree, a leather one, with a hood, for boys", "relaxed"),
    ],
    ids=["empty", "emoji", "contradiction", "矛盾", "10k", "sql", "markup", "nothing meets"],
)
def test_odd_requests_get_a_list_and_a_word_on_it(say: Any, text: str, note: str) -> None:
    said = say(text, "--json", "--k", "3")
    assert said.code == 0
    assert len(said.answer["items"]) == 3
    notes = {one["kind"]: one["text"] for one in said.answer["notes"]}
    assert note in notes
    assert len(notes[note]) < LONGEST_QUOTE + 200
    shown = say(text, "--k", "3")
    assert shown.code == 0
    assert "".join(notes[note].split()) in "".join(shown.err.split())


def test_unknown_choices_are_named(say: Any) -> None:
    said = say("red", "--strategy", "best")
    assert said.code == 2
    assert "base_rank, mmr, rl" in said.err.replace("\n", "")


def test_weights_in_the_environment_are_used(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = say("red dress", "--json").answer
    monkeypatch.setenv("FVREC_ALPHA", "10")
    heavy = say("red dress", "--json").answer
    assert heavy["items"][0]["score"] > plain["items"][0]["score"] + 5


def test_damaged_weights_are_said(say: Any, own_shop: Settings) -> None:  # noqa: F811
    path = weights_file(own_shop)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    said = say("red", root=own_shop.root)
    assert said.code == 2
    assert "weights.json" in said.err.replace("\n", "")
