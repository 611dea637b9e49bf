"""How requests are spelled: typos, widths, traditional characters, invisible ones; spans are of the text as typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fvrec.rerank.constraints import parse
from fvrec.rerank.folding import fold, pieces
from fvrec.rerank.lexicon import default_lexicon
from fvrec.rerank.spelling import Speller, Target

# English BIP-39 list, 2,048 everyday words (github.com/trezor/python-mnemonic, MIT licence).
COMMON_WORDS = Path(__file__).with_name("common_words.txt").read_text().split()

TYPOS = {
    "blakc": ("color", "black"), "yelow": ("color", "yellow"), "purpel": ("color", "purple"),
    "jaket": ("category", "jacket"), "sweter": ("category", "sweater"), "backpak": ("category", "backpack"),
    "leathr": ("material", "leather"), "cottton": ("material", "cotton"), "denmi": ("material", "denim"),
    "striepd": ("pattern", "striped"), "florla": ("pattern", "floral"), "embroiderd": ("pattern", "embroidered"),
    "sumer": ("season", "summer"), "wintre": ("season", "winter"), "skiny": ("fit", "skinny"),
    "turtlenek": ("neckline", "turtleneck"), "sleevless": ("sleeve_length", "sleeveless"),
}  # fmt: skip


@pytest.mark.parametrize(("typo", "meant"), TYPOS.items(), ids=list(TYPOS))
def test_one_edit_is_forgiven(typo: str, meant: tuple[str, str]) -> None:
    found = parse(f"a {typo} thing please")
    assert dict(found.wanted) == {meant[0]: {meant[1]}}
    assert found.constraints[0].words == (typo,)


@pytest.mark.parametrize("word", ["bleu", "rde", "blaacck", "zwart"])
def test_short_words_and_two_edits_are_not(word: str) -> None:
    assert not parse(word)
    assert parse(word).unrecognised == (word,)


def test_a_mistyped_negation_still_negates() -> None:
    assert dict(parse("dress withuot stripes").excluded) == {"pattern": {"striped"}}


def test_common_words_are_no_typos() -> None:
    assert len(COMMON_WORDS) == 2048
    lexicon = default_lexicon()
    assert {word: lexicon.correct(word) for word in COMMON_WORDS if lexicon.correct(word) != word} == {}


def test_only_a_single_nearest_meaning_corrects() -> None:
    targets = {"stripe": Target(0, 1), "striped": Target(0, 1), "string": Target(0, 2), "strides": Target(1, 3)}
    speller = Speller(targets, ["strip"])
    assert speller.correct("stripd") in ("stripe", "striped")
    assert speller.correct("stripes") == "stripe"  # "strides" is as near, but a plural
    assert speller.correct("strip") == "strip"
    assert speller.correct("stripg") == "stripg"  # "stripe" and "string" are one edit away, and differ


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("想要ＮＡＶＹ色的", "color", "ＮＡＶＹ"),
        ("一件純棉襯衫", "category", "襯衫"),
        ("找 連身裙", "category", "連身裙"),
        ("bl\u200back \ufe0fdress", "color", "bl\u200back"),
        ("Nice ﬂoral skirt", "pattern", "ﬂoral"),
        ("🙂 𝐛𝐥𝐮𝐞 hat", "color", "𝐛𝐥𝐮𝐞"),
        ("ｖ　領", "neckline", "ｖ　領"),
    ],
)
def test_spans_are_of_the_text_as_typed(text: str, field: str, said: str) -> None:
    (constraint,) = [one for one in parse(text).constraints if one.field == field]
    assert [text[span.start : span.end] for span in constraint.spans] == [said]


def test_unrecognised_words_have_spans() -> None:
    text = "blorg red blorg 亮闪闪的裙子 frob"
    found = parse(text)
    assert found.unrecognised == ("blorg", "亮闪闪", "frob")
    assert [text[span.start : span.end] for span in found.unrecognised_spans] == list(found.unrecognised)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(), max_size=60))
def test_folding_keeps_track_of_every_character(text: str) -> None:
    folded, origin = fold(text)
    assert len(folded) == len(origin)
    assert origin == sorted(origin)
    for piece in pieces(text):
        assert 0 <= piece.start < piece.end <= len(text)


def test_the_parser_never_opens_the_query_files() -> None:
    code = """
import json, sys
opened = set()
sys.addaudithook(lambda event, arguments: opened.add(str(arguments[0])) if event == "open" else None)
from fvrec.rerank.constraints import parse
first = parse("blakc dress, 不要條紋, start over")
parse("in red instead", first)
print(json.dumps([name for name in opened if "/fvrec/vocab/" in name.replace(chr(92), "/")]))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = {Path(name).name for name in json.loads(ran.stdout) if not name.endswith((".py", ".pyc"))}
    assert names == {"words.toml", "compounds.toml", "grammar.toml", "ordinary_english.toml"}
