"""What the tests of servers share: free ports, and a JSON API that may not be there yet."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.request import Request, urlopen

import psutil


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def call(api: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """GET, or POST with a body; the parsed answer. URLError or OSError when nobody answers, or with an error."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"{api}{path}", data=data, headers={"Content-Type": "application/json"})
    with urlopen(request, timeout=30) as answer:
        return json.load(answer)


def listening(parent: int, *ports: int) -> set[str]:
    """Addresses on which a process or one below it listens; with ``ports``, at these alone."""
    family = [psutil.Process(parent), *psutil.Process(parent).children(recursive=True)]
    held = [one for process in family for one in process.net_connections(kind="inet")]
    return {one.laddr.ip for one in held if one.status == psutil.CONN_LISTEN and (not ports or one.laddr.port in ports)}
