"""The page and each of its controls, run by Streamlit's own test runner on a real published shop."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.service import DemoService
from app.talk import Talk
from app.words import EXAMPLES, WORDS
from fvrec.config import Settings
from fvrec.errors import FvrecError
from fvrec.schema import CONFIDENCE, FIELDS
from tests.app.conftest import OTHER_SOURCE, png_bytes
from warehouse.db import publish
from warehouse.read import Warehouse

PAGE = Path(__file__).parents[2] / "app" / "Home.py"


def open_page(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("FVREC_ROOT", str(settings.root))
    page = AppTest.from_file(str(PAGE), default_timeout=120).run()
    assert not page.exception
    return page


@pytest.fixture
def page(demo_shop: Settings, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    return open_page(demo_shop, monkeypatch)


def wish(page: AppTest, text: str) -> AppTest:
    """A request of its own: what stood before is dropped."""
    page.session_state["talk"] = Talk()
    return say(page, text)


def say(page: AppTest, text: str) -> AppTest:
    """Another turn."""
    page.chat_input[0].set_value(text).run()
    assert not page.exception
    return page


def choose(page: AppTest, control: str, value: str) -> AppTest:
    page.button_group(key=control).set_value(value).run()
    assert not page.exception
    return page


def shown(page: AppTest) -> list[str]:
    """Titles of the cards, as the page wrote them."""
    return [text.value for text in page.markdown if text.value.startswith(tuple(f"**{n}\\." for n in range(1, 31)))]


def everything(page: AppTest) -> str:
    parts = (page.markdown, page.caption, page.info, page.warning, page.error)
    return "\n".join(element.value for elements in parts for element in elements)


def pills(page: AppTest) -> list[str]:
    """Labels of the pills, understood wishes first."""
    return [button.label for button in page.button if (button.key or "").startswith(("pill_", "piece_"))]


def open_details(page: AppTest) -> AppTest:
    """Open every card's attributes and JSON."""
    for button in page.button:
        if (button.key or "").startswith("more_"):
            page.session_state[(button.key or "").replace("more_", "details_", 1)] = True
    page.run()
    assert not page.exception
    return page


def figure(page: AppTest, name: str) -> float:
    return float(next(metric.value for metric in page.metric if name in metric.label))


def test_at_first_it_invites(page: AppTest) -> None:
    assert WORDS["empty"]["en"] in everything(page)
    assert not shown(page)


def test_words_give_cards_with_reasons_attributes_and_json(page: AppTest) -> None:
    wish(page, "blue, not floral")
    assert len(shown(page)) == 10
    assert pills(page) == [":green[✓ color\\: blue] ✕", ":red[⊘ pattern\\: not floral] ✕"]
    reasons = [caption.value for caption in page.caption if caption.value.startswith("**Why**")]
    assert len(reasons) == 10
    assert "color=blue" in reasons[0]
    assert not page.code
    open_details(page)
    assert len(page.code) == 10
    answer = json.loads(page.code[0].value)
    assert list(answer) == [*FIELDS, CONFIDENCE]
    assert answer["color"] == "blue"
    tables = [block.proto.body for block in page.get("html") if "<table" in block.proto.body]
    assert len(tables) == 10
    assert tables[0].count("<meter") == len(FIELDS)


def test_the_first_card_bears_the_matched_badges(page: AppTest) -> None:
    wish(page, "blue")
    badges = next(
        text.value for text in page.markdown if text.value.startswith(":green-badge[✓ color") and "%" in text.value
    )
    assert "blue 90%" in badges


def test_a_chinese_wish_is_explained_in_chinese(page: AppTest) -> None:
    wish(page, "蓝色，要会发光的")
    text = everything(page)
    assert "颜色是蓝色" in text
    assert any("not understood" in pill for pill in pills(page))


def test_the_page_speaks_both_languages(page: AppTest) -> None:
    choose(page, "language", "zh")
    assert page.chat_input[0].placeholder == WORDS["placeholder"]["zh"]
    assert page.button(key="example_0").label == EXAMPLES["zh"][0]
    choose(page, "language", "en")
    assert page.chat_input[0].placeholder == WORDS["placeholder"]["en"]


@pytest.mark.parametrize("number", range(len(EXAMPLES["en"])))
def test_an_example_fills_in_the_wish(page: AppTest, number: int) -> None:
    page.button(key=f"example_{number}").click().run()
    assert any(EXAMPLES["en"][number].split(",")[0].replace("-", "\\-") in text.value for text in page.markdown)
    assert len(shown(page)) == 10


def test_every_example_is_understood(page: AppTest) -> None:
    for example in (*EXAMPLES["en"], *EXAMPLES["zh"]):
        wish(page, example)
        assert any(pill.startswith(":green") for pill in pills(page))
        assert not any("not understood" in pill for pill in pills(page))


def test_k_sets_the_length_of_the_list(page: AppTest) -> None:
    wish(page, "blue")
    page.slider(key="k").set_value(3).run()
    assert len(shown(page)) == 3
    assert any(metric.label == "Diversity (ILD@3)" for metric in page.metric)


def test_strategies_say_how_they_compare_with_base(page: AppTest) -> None:
    wish(page, "blue")
    before = figure(page, "ILD")
    assert not any(metric.delta for metric in page.metric)
    choose(page, "strategy", "mmr")
    after = next(metric for metric in page.metric if "ILD" in metric.label)
    assert float(after.value) > before
    assert float(after.delta) == pytest.approx(float(after.value) - before, abs=2e-3)
    choose(page, "strategy", "rl")
    assert len(shown(page)) == 10


def test_the_base_model_is_shown_with_a_kind_word(page: AppTest) -> None:
    wish(page, "blue dress")
    choose(page, "model", "base")
    assert "has written no valid answer" in everything(page)
    assert len(shown(page)) == 10
    assert "Not valid" in everything(open_details(page))
    choose(page, "model", "sft")
    assert "has written no valid answer" not in everything(page)


def test_a_reference_picture_alone_finds_its_product(demo_shop: Settings, page: AppTest) -> None:
    item = Warehouse(demo_shop.snapshot).items("embedded", ["test"])[0]
    photo = (demo_shop.root / item.image_path).read_bytes()
    page.chat_input[0].upload("mine.jpg", photo, "image/jpeg").run()
    assert not page.exception
    assert [WORDS["picture_used"]["en"]] in [image.captions for image in page.image]
    assert item.title.split()[0] in shown(page)[0]


@pytest.mark.parametrize("data", [b"not a picture", png_bytes(20_000, 10_000)], ids=["text", "bomb"])
def test_a_bad_picture_is_a_message(page: AppTest, data: bytes) -> None:
    page.chat_input[0].upload("mine.png", data, "image/png").run()
    assert not page.exception
    assert "cannot be used as a picture" in page.warning[0].value
    assert not shown(page)


def test_markup_in_a_wish_stays_text(page: AppTest) -> None:
    wish(page, "blue **bold** [link](http://example.com) :red[x] $y$ <b>z</b>")
    chips = " ".join(pills(page))
    assert "**bold**" not in chips
    assert "](http" not in chips
    assert "<b>" not in chips


def test_nonsense_and_empty_wishes_are_no_error(page: AppTest) -> None:
    wish(page, "qwxzv " * 80)
    assert WORDS["nothing_understood"]["en"] in everything(page)
    assert len(shown(page)) == 10


def test_a_second_source_can_be_chosen(two_sources: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    page = wish(open_page(two_sources, monkeypatch), "blue")
    first = shown(page)
    page.selectbox(key="source").set_value(OTHER_SOURCE).run()
    assert not page.exception
    assert shown(page) != first
    assert not any("ILD" in metric.label for metric in page.metric)


def test_without_a_snapshot_the_page_says_which_command_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page(Settings(root=tmp_path), monkeypatch)
    assert "`fvrec run`" in page.warning[0].value


def test_without_a_policy_only_rl_is_missing(own_shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(own_shop.policies)
    page = wish(open_page(own_shop, monkeypatch), "blue")
    choose(page, "strategy", "rl")
    assert "`fvrec run`" in page.warning[0].value
    choose(page, "strategy", "mmr")
    assert len(shown(page)) == 10


def test_a_broken_snapshot_is_a_message(own_shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    target = own_shop.snapshot.resolve()
    target.chmod(0o644)
    target.write_bytes(b"this is no database")
    page = open_page(own_shop, monkeypatch)
    assert page.warning
    assert not shown(page)


def test_a_new_publication_reaches_an_open_page(own_shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from warehouse import write

    page = wish(open_page(own_shop, monkeypatch), "blue")
    assert figure(page, "Chosen from") > 20
    kept = Warehouse(own_shop.database).items("embedded", ["test"])[:20]
    write.save_items(own_shop.database, "embedded", kept, [])
    publish(own_shop.database, own_shop.snapshot)
    page.run()
    assert not page.exception
    assert figure(page, "Chosen from") == 20


def test_a_second_turn_refines_and_a_pill_strikes(page: AppTest) -> None:
    wish(page, "blue dress")
    say(page, "not floral")
    assert len(pills(page)) == 3
    page.button(key="pill_0").click().run()
    assert not page.exception
    assert [pill for pill in pills(page) if "category" in pill] == []
    assert len(pills(page)) == 2
    say(page, "in red instead")
    assert any("red" in pill for pill in pills(page))
    assert not any("blue" in pill for pill in pills(page))
    page.button(key="start_over").click().run()
    assert WORDS["empty"]["en"] in everything(page)


def test_what_was_not_understood_can_be_waved_away(page: AppTest) -> None:
    wish(page, "blue, glowing")
    assert any("glowing" in pill for pill in pills(page))
    page.button(key="piece_0").click().run()
    assert pills(page) == [":green[✓ color\\: blue] ✕"]
    assert len(shown(page)) == 10


def test_a_picture_and_words_and_the_picture_goes(demo_shop: Settings, page: AppTest) -> None:
    item = Warehouse(demo_shop.snapshot).items("embedded", ["test"])[0]
    photo = (demo_shop.root / item.image_path).read_bytes()
    page.chat_input[0].upload("mine.jpg", photo, "image/jpeg").set_value("not floral").run()
    assert not page.exception
    assert any("floral" in pill for pill in pills(page))
    assert [WORDS["picture_used"]["en"]] in [image.captions for image in page.image]
    page.button(key="drop_picture").click().run()
    assert [WORDS["picture_used"]["en"]] not in [image.captions for image in page.image]
    assert any("floral" in pill for pill in pills(page))


def test_the_slider_moves_the_list(page: AppTest) -> None:
    wish(page, "blue")
    choose(page, "strategy", "mmr")
    found = []
    for position in (0.0, 1.0):
        page.slider(key="diversity").set_value(position).run()
        found.append(figure(page, "ILD"))
    assert found[1] > found[0]


def test_three_strategies_stand_side_by_side(page: AppTest) -> None:
    wish(page, "blue")
    choose(page, "view", "compare")
    assert [text.value for text in page.markdown if text.value.startswith("### ")] == ["### Base", "### MMR", "### RL"]
    assert sum("ILD" in metric.label for metric in page.metric) == 3
    assert sum("Coverage" in metric.label for metric in page.metric) == 3
    assert len(shown(page)) == 30


def test_the_feed_shows_one_card_and_learns_from_answers(page: AppTest) -> None:
    wish(page, "blue")
    choose(page, "view", "feed")
    seen = [shown(page)[0]]
    for answer in ("like", "skip", "like"):
        page.button(key=answer).click().run()
        assert not page.exception
        assert len(shown(page)) == 1
        seen.append(shown(page)[0])
    assert len(set(seen)) == 4
    assert "2 liked, 1 skipped" in everything(page)
    page.button(key="feed_again").click().run()
    assert shown(page) == seen[:1]


def test_more_like_this_makes_the_product_the_reference(page: AppTest) -> None:
    wish(page, "something nice")
    first = shown(page)[1]
    more = [button for button in page.button if (button.key or "").startswith("more_")]
    assert len(more) == 10
    more[1].click().run()
    assert not page.exception
    assert shown(page)[0].split(". ", 1)[1] == first.split(". ", 1)[1]


def ask_for_evidence(page: AppTest) -> None:
    """Open the first card's evidence, as a click would, and choose a field."""
    assert not [box for box in page.selectbox if (box.key or "").startswith("evidence_")], "drawn before it is opened"
    first = next(button.key for button in page.button if (button.key or "").startswith("more_"))
    page.session_state[str(first).replace("more_", "where_", 1)] = True
    page.run()
    (box,) = [box for box in page.selectbox if (box.key or "").startswith("evidence_")]
    box.set_value("color").run()
    assert not page.exception


def test_evidence_without_the_model_says_so(page: AppTest) -> None:
    wish(page, "blue")
    ask_for_evidence(page)
    assert WORDS["evidence_missing"]["en"] in everything(page)


@pytest.mark.parametrize(
    ("error", "words"),
    [(FvrecError("the photo cannot be read"), "The photo cannot be read."), (RuntimeError(), WORDS["broken"]["en"])],
    ids=["mendable", "bug"],
)
def test_evidence_that_fails_is_a_sentence_and_the_list_stays(
    page: AppTest, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(DemoService, "evidence", fail)
    wish(page, "blue")
    ask_for_evidence(page)
    assert words in everything(page)
    assert len(shown(page)) == 10


def test_a_snapshot_of_an_older_schema_is_a_message(own_shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    import duckdb

    target = own_shop.snapshot.resolve()
    target.chmod(0o644)
    with duckdb.connect(target) as connection:
        connection.execute("DELETE FROM schema_migrations WHERE version > 1")
    page = open_page(own_shop, monkeypatch)
    assert "older schema" in page.warning[0].value


def test_an_upload_of_more_than_ten_megabytes_is_a_message(page: AppTest) -> None:
    page.chat_input[0].upload("big.png", b"\x89PNG" + b"0" * (10 * 1024 * 1024 + 1), "image/png").run()
    assert not page.exception
    assert "too large" in page.warning[0].value
