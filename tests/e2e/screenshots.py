"""Make the README's pictures again: ``python -m tests.e2e.screenshots [ROOT]`` over a root whose pipeline has run.

They are the three cases of the project plan (words; words and a picture; diversity before and after) and the page on a
phone, dark and in Chinese.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from fvrec.config import Settings
from tests.e2e.browser import attach, browsing, serving, settle, wish
from warehouse.read import Warehouse

TARGET = Path(__file__).parents[2] / "docs" / "images"
WISH, WISH_ZH = "a summer dress for women, not formal", "适合夏天的女装，不要正装"
COLOURS = 128
"""Of a picture's palette: a third of the bytes, and nothing that one sees."""

_PATIENCE_MS = 180_000


def _shoot(page: Page, file: Path) -> None:
    settle(page)
    page.wait_for_load_state("networkidle")
    page.evaluate("document.activeElement.blur()")
    page.screenshot(path=file)
    with Image.open(file) as taken:
        small = taken.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(file, optimize=True)


def words_alone(page: Page, address: str, folder: Path) -> None:
    page.goto(address)
    wish(page, WISH)
    _shoot(page, folder / "demo.png")


def words_and_a_picture(page: Page, address: str, folder: Path, photo: Path) -> None:
    page.goto(address)
    attach(page, photo, "like this, but in red")
    page.locator(".st-key-cards img").first.wait_for()
    _shoot(page, folder / "picture.png")


def diversity_before_and_after(page: Page, address: str, folder: Path) -> None:
    page.goto(address)
    wish(page, WISH)
    page.get_by_role("radio", name="Base | MMR | RL").click()
    page.locator(".st-key-side_rl img").first.wait_for()
    _shoot(page, folder / "compare.png")


def on_a_phone(page: Page, address: str, folder: Path) -> None:
    page.goto(address)
    wish(page, WISH_ZH)
    _shoot(page, folder / "phone.png")


def make(root: Path, folder: Path) -> None:
    """All pictures, into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    item = next(one for one in Warehouse(Settings(root=root).snapshot).items("embedded", ["test"]))
    with serving(root) as address:
        with browsing(width=1280, height=1000) as page:
            page.set_default_timeout(_PATIENCE_MS)
            words_alone(page, address, folder)
            words_and_a_picture(page, address, folder, root / item.image_path)
            diversity_before_and_after(page, address, folder)
        with browsing(width=400, height=850, dark=True, locale="zh-CN") as page:
            page.set_default_timeout(_PATIENCE_MS)
            on_a_phone(page, address, folder)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, nargs="?", default=Path(), help="the folder with data/ and outputs/")
    parser.add_argument("--out", type=Path, default=TARGET)
    arguments = parser.parse_args()
    make(arguments.root.resolve(), arguments.out)
    print(arguments.out)


if __name__ == "__main__":
    main()
