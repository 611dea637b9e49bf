"""How the page is started: for this machine alone, and so that its threads share one heap."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from flows.page import page_command, page_environment

_HEAPS = """
import ctypes, sys, threading
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.fopen.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fclose.argtypes = [ctypes.c_void_p]
together = threading.Barrier(8)
def take():
    together.wait()
    libc.malloc(5000)
    together.wait()
threads = [threading.Thread(target=take) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
file = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="glibc's heaps")
def test_threads_of_the_page_share_one_heap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def heaps(environment: Mapping[str, str]) -> int:
        subprocess.run([sys.executable, "-c", _HEAPS, str(tmp_path / "heaps")], check=True, env=environment)
        return (tmp_path / "heaps").read_text().count("<heap nr=")

    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    assert heaps(os.environ) > 1
    assert heaps(page_environment(tmp_path)) == 1


def test_what_the_environment_says_of_heaps_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    found = page_environment(tmp_path, PREFECT_API_URL="http://127.0.0.1:1/api")
    assert (found["MALLOC_ARENA_MAX"], found["FVREC_ROOT"]) == ("4", str(tmp_path))
    assert found["PREFECT_API_URL"] == "http://127.0.0.1:1/api"


@pytest.mark.parametrize("opens", [True, False])
def test_the_page_is_for_this_machine_alone(opens: bool) -> None:
    command = page_command(8599, opens_browser=opens)
    assert {"--server.port=8599", "--server.address=127.0.0.1", "--client.showErrorDetails=none"} <= {*command}
    assert ("--server.headless=true" in command) is not opens  # else Streamlit looks for a display
