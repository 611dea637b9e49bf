"""Make the README's picture again: ``python -m tests.e2e.screenshots [ROOT]`` over a root whose pipeline has run."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.e2e.browser import browsing, serving, settle, wish

TARGET = Path(__file__).parents[2] / "docs" / "images" / "demo.png"
WISH = "a summer dress for women, not formal"


def make(root: Path, target: Path) -> None:
    """The page in light colours with a wish answered by LoRA and RL, written to ``target``."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with serving(root) as address, browsing(width=1280, height=1180) as page:
        page.goto(address)
        wish(page, WISH)
        page.get_by_role("radio", name="RL").click()
        page.get_by_text("vs Base").first.wait_for()
        settle(page)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=target)


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
