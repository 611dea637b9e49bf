"""The project plan's three demonstrations in a real browser: words; words and a picture; diversity before and after."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from fvrec.config import Settings
from tests.e2e.browser import attach, browsing, chat, serving, settle, titles, wish
from warehouse.read import Warehouse

pytestmark = pytest.mark.browser

PAGES = {
    "extraction": "Which model reads best?",
    "trade_off": "No list policy has been compared yet",
    "catalogue": "240 products",
    "sql": "One read-only query",
    "runs": "Configuration of run",
}
"""Address of a page -> what it says when it is there."""


@pytest.fixture(scope="module")
def address(demo_shop: Settings) -> Iterator[str]:
    if shutil.which("chromium") is None:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail("chromium is not installed, and in CI the browser tests must run")
        pytest.skip("chromium is not installed")
    with serving(demo_shop.root) as running:
        yield running


@pytest.fixture
def page(address: str) -> Iterator[Page]:
    with browsing() as opened:
        outside: list[str] = []
        opened.on("request", lambda request: outside.append(request.url) if _is_outside(request.url, address) else None)
        errors: list[str] = []
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.goto(address)
        yield opened
        assert not outside, "the page must work without the internet"
        assert not errors


def _is_outside(url: str, address: str) -> bool:
    return url.startswith(("http", "ws")) and address.removeprefix("http://") not in url


def test_words_alone(page: Page) -> None:
    wish(page, "blue, not floral")
    expect(page.locator(".st-key-cards img")).to_have_count(10)
    first = page.locator(".st-key-card_1")
    expect(first).to_contain_text("color: blue")
    expect(first).to_contain_text("Why")
    first.get_by_text("Attributes and JSON").click()
    expect(first.locator("table.attributes meter")).to_have_count(10)
    expect(first.locator("code")).to_contain_text('"neckline"')
    assert all(alt.startswith("Photo of ") for alt in titles(page))
    assert _broken_pictures(page) == 0


def test_words_and_a_reference_picture(page: Page, demo_shop: Settings) -> None:
    item = Warehouse(demo_shop.snapshot).items("embedded", ["test"])[0]
    attach(page, demo_shop.root / item.image_path, "something nice")
    assert titles(page)[0] == f"Photo of {item.title}"
    expect(page.locator(".st-key-said")).to_contain_text("something nice")


def test_diversity_before_and_after(page: Page) -> None:
    wish(page, "blue")
    before, first = _diversity(page), titles(page)
    page.get_by_role("radio", name="MMR", exact=True).click()
    expect(page.locator(".st-key-figures")).to_contain_text("vs Base")
    settle(page)
    spread = titles(page)
    assert _diversity(page) > before
    page.get_by_role("radio", name="RL", exact=True).click()
    expect(page.locator(".st-key-cards img").nth(_first_difference(page, spread))).to_be_visible()
    settle(page)
    assert len({*first}) == len({*spread}) == len({*titles(page)}) == 10


def _first_difference(page: Page, shown: list[str]) -> int:
    """Wait until the cards are others than ``shown``; the first place where they differ."""
    place = page.wait_for_function(
        """shown => {
            const now = [...document.querySelectorAll('.st-key-cards img')].map(i => i.alt);
            const place = now.findIndex((alt, n) => alt !== shown[n]);
            return place < 0 ? null : {place};
        }""",
        arg=shown,
    )
    return int(place.json_value()["place"])


def test_a_narrow_dark_screen_in_chinese(address: str) -> None:
    with browsing(width=400, height=850, dark=True, locale="zh-CN") as page:
        page.goto(address)
        expect(page.get_by_text("说出想要的款式")).to_be_visible()
        wish(page, "蓝色")
        expect(page.locator(".st-key-card_1")).to_contain_text("颜色是蓝色")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        card = page.locator(".st-key-card_1").bounding_box()
        assert card is not None
        assert 300 < card["width"] <= 400


def test_the_keyboard_alone_will_do(page: Page) -> None:
    box = chat(page)
    box.focus()
    page.keyboard.type("red")
    page.keyboard.press("Enter")
    page.locator(".st-key-cards img").first.wait_for()
    radio = page.get_by_role("radio", name="MMR", exact=True)
    for _ in range(20):
        page.keyboard.press("Tab")
        if (
            page.evaluate("document.activeElement.getAttribute('role')") == "radio"
            and page.evaluate("document.activeElement.closest('[role=radiogroup]').getAttribute('aria-label')")
            == "Strategy"
        ):
            break
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(radio).to_be_checked()


def test_three_lists_side_by_side_and_one_card_at_a_time(page: Page) -> None:
    wish(page, "blue")
    page.get_by_role("radio", name="Base | MMR | RL").click()
    for strategy in ("base_rank", "mmr", "rl"):
        expect(page.locator(f".st-key-side_{strategy} img")).to_have_count(10)
        expect(page.locator(f".st-key-side_{strategy}")).to_contain_text("ILD@10")
    page.get_by_role("radio", name="One by one").click()
    card = page.locator(".st-key-feed img")
    expect(card).to_have_count(1)
    first = card.get_attribute("alt")
    page.locator(".st-key-like button").click()
    expect(page.get_by_text("1 liked, 0 skipped")).to_be_visible()
    settle(page)
    assert page.locator(".st-key-feed img").get_attribute("alt") != first


def test_evidence_opens_on_its_card_and_stays_open_while_a_field_is_chosen(page: Page) -> None:
    wish(page, "blue")
    page.locator(".st-key-card_1").get_by_role("button", name="Where was it read?").click()
    panel = page.get_by_test_id("stPopoverBody")
    box = panel.get_by_role("combobox")
    box.click()
    page.get_by_role("option", name="color", exact=True).click()
    expect(panel).to_contain_text("The model's files are not here")
    settle(page)
    assert page.locator(".st-key-cards img").count() == 10
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)


def test_a_wish_is_struck_by_its_cross(page: Page) -> None:
    wish(page, "blue, not floral")
    page.locator(".st-key-pills").get_by_role("button", name="color: blue").click()
    expect(page.locator(".st-key-pills").get_by_role("button")).to_have_count(1)
    settle(page)


def test_every_page_opens_on_a_narrow_screen_without_scrolling_sideways(address: str) -> None:
    with browsing(width=400, height=850) as page:
        for name, mark in PAGES.items():
            page.goto(f"{address}/{name}")
            page.get_by_text(mark).first.wait_for()
            settle(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= 400, name
            assert page.get_by_text("Traceback").count() == 0


def _diversity(page: Page) -> float:
    metric = page.locator("[data-testid=stMetric]").filter(has_text="Diversity")
    return float(metric.locator("[data-testid=stMetricValue]").inner_text())


def _broken_pictures(page: Page) -> int:
    page.wait_for_load_state("networkidle")
    return int(page.evaluate("[...document.images].filter(i => i.complete && i.naturalWidth === 0).length"))
