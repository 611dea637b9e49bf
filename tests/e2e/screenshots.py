"""Make the README's pictures again: ``python -m tests.e2e.screenshots [ROOT]``.

They are the three cases of the project plan (words; words and a picture; diversity before and after) and the page on a
phone, dark and in Chinese. ROOT: a folder whose pipeline has run; without it, the browser tests' own shop, with more
products: drawn ones, whose labels with seeded mistakes stand for what a model reads.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from fvrec.config import Settings
from tests.demo_shop import build_demo_shop
from tests.e2e.browser import attach, browsing, serving, settle, wish
from warehouse.read import Warehouse

TARGET = Path(__file__).parents[2] / "docs" / "images"
WISH, WISH_ZH = "a summer dress for women, not formal", "适合夏天的女装，不要正装"
LIKE_THIS = "a dress like this, but in red"
COLOURS = 128
"""Of a picture's palette: a third of the bytes, and nothing that one sees."""

ITEMS = 1500
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
    attach(page, photo, LIKE_THIS)
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
    items = Warehouse(Settings(root=root).snapshot).items("embedded", ["test"])
    item = next(one for one in items if one.values["category"] == "dress" and one.values["color"] != "red")
    with serving(root) as address:
        with browsing(width=1280, height=1180) as page:
            page.set_default_timeout(_PATIENCE_MS)
            words_alone(page, address, folder)
            words_and_a_picture(page, address, folder, root / item.image_path)
            diversity_before_and_after(page, address, folder)
        with browsing(width=400, height=1500, dark=True, locale="zh-CN") as page:
            page.set_default_timeout(_PATIENCE_MS)
            on_a_phone(page, address, folder)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, nargs="?", help="the folder with data/ and outputs/ [a shop made anew]")
    parser.add_argument("--out", type=Path, default=TARGET)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.root or build_demo_shop(Path(folder), items=ITEMS).root
        make(root.resolve(), arguments.out)
    print(arguments.out)


if __name__ == "__main__":
    main()
