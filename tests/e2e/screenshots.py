"""Make the README's pictures again: ``python -m tests.e2e.screenshots [ROOT]`` over a root whose pipeline has run."""

from __future__ import annotations

import argparse
from pathlib import Path

from playwright.sync_api import Page

from tests.e2e.browser import browsing, serving, settle, wish

TARGET = Path(__file__).parents[2] / "docs" / "images"
WISH = "a summer dress for women, not formal"


def _shoot(page: Page, file: Path) -> None:
    settle(page)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=file)


def make(root: Path, folder: Path) -> None:
    """The shop with a wish answered by LoRA and RL, the three strategies side by side, and the extraction page."""
    folder.mkdir(parents=True, exist_ok=True)
    with serving(root) as address, browsing(width=1280, height=1180) as page:
        page.goto(address)
        wish(page, WISH)
        page.get_by_role("radio", name="RL", exact=True).click()
        page.get_by_text("vs Base").first.wait_for()
        _shoot(page, folder / "demo.png")
        page.get_by_role("radio", name="Base | MMR | RL").click()
        page.locator(".st-key-side_rl img").first.wait_for()
        _shoot(page, folder / "compare.png")
        page.goto(f"{address}/extraction")
        page.get_by_test_id("stVegaLiteChart").first.wait_for()
        _shoot(page, folder / "extraction.png")


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
