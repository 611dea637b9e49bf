"""A real page server and a real browser, for tests and for the README's pictures."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, expect, sync_playwright

from flows.page import page_command, page_environment
from tests.e2e.processes import free_port

_START_S, _PATIENCE_MS = 60.0, 30_000
# Playwright waits five seconds by itself, which a machine with other work may need for one rerun of the page.
expect.set_options(timeout=_PATIENCE_MS)
_STANDS = """marks => document.querySelector('[data-test-script-state=notRunning]')
    && !document.querySelector('[data-stale=true], [data-testid=stSkeleton]')
    && marks.every(mark => {
        const first = document.querySelector(mark);
        return first && first.checkVisibility({visibilityProperty: true}) && first.getBoundingClientRect().height > 0
            && (first.tagName !== 'IMG' || first.complete);
    })"""


@contextmanager
def serving(root: Path) -> Iterator[str]:
    """The address of the demo page over ``root``; the server ends with the block."""
    port = free_port()
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            page_command(port, opens_browser=False),
            env=page_environment(root),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_up(f"http://127.0.0.1:{port}/_stcore/health", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=20)


@contextmanager
def browsing(*, width: int = 1280, height: int = 1000, dark: bool = False, locale: str = "en-US") -> Iterator[Page]:
    """A page of the system's Chromium with a fresh profile. Errors of the page's own scripts are raised at the end."""
    executable = shutil.which("chromium")
    if executable is None:
        raise FileNotFoundError("chromium is not installed")
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=executable,
            args=["--no-sandbox"],
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            locale=locale,
            reduced_motion="reduce",
        )
        context.set_default_timeout(_PATIENCE_MS)
        try:
            yield context.new_page()
        finally:
            context.close()


def wish(page: Page, text: str) -> None:
    """Type a wish, press Enter and wait for the cards that answer it."""
    box = chat(page)
    box.fill(text)
    box.press("Enter")
    page.locator(".st-key-cards img").first.wait_for()
    settle(page)


def chat(page: Page) -> Locator:
    """The box in which wishes are typed."""
    return page.get_by_test_id("stChatInputTextArea")


def attach(page: Page, file: Path, text: str = "") -> None:
    """Send a picture, and words with it, through the chat box."""
    page.get_by_test_id("stChatInput").locator("input[type=file]").set_input_files(file)
    page.get_by_test_id("stChatInput").get_by_text(file.name).wait_for()
    # The name is there while the file is still on its way; what is sent before it has come goes without it.
    page.wait_for_load_state("networkidle")
    chat(page).fill(text)
    expect(page.get_by_test_id("stChatInputSubmitButton")).to_be_enabled()
    chat(page).press("Enter")
    page.get_by_alt_text("Your reference picture").wait_for()
    settle(page)


def settle(page: Page, *marks: str) -> None:
    """Wait until the server has run the page to its end, all of it is drawn, and the first of each selector is seen.

    All in one look, once a frame: a locator's own ``wait_for`` looks every half second only, after the first .3 s.
    """
    page.wait_for_function(_STANDS, arg=list(marks))


def titles(page: Page) -> list[str]:
    """Alternative texts of the cards' pictures, in the order of the list."""
    return [picture.get_attribute("alt") or "" for picture in page.locator(".st-key-cards img").all()]


def _wait_until_up(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise TimeoutError(f"the page's server did not come up at {address} (exit code {server.poll()})")
