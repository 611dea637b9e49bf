"""A loopback HTTP server that behaves well or badly by path, and counts what it was asked for."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import numpy as np
from PIL import Image


def photo_bytes(seed: int = 0) -> bytes:
    """A noisy JPEG of its own."""
    file = BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (80, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def vast_bytes() -> bytes:
    """A small GIF whose header claims 60,000 x 60,000 pixels."""
    file = BytesIO()
    Image.new("L", (8, 8)).save(file, "GIF")
    data = bytearray(file.getvalue())
    data[6:10] = (60_000).to_bytes(2, "little") * 2
    return bytes(data)


@dataclass
class PictureServer:
    """``url("/ok/1.jpg")``; ``asked`` counts requests by path, ``busiest`` is the most of them at once."""

    port: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    now: int = 0
    busiest: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@contextmanager
def serve_pictures() -> Iterator[PictureServer]:
    """Paths: /ok/N, /404, /flaky/N (two 500s, then the photo), /down (503), /slow, /drip (endless), /endless, /loop,
    /tofile, /moved/N, /html, /text, /empty, /cut (fewer bytes than announced), /late/N (an excuse first, then the
    photo), /half/N (half of it first), /vast (more pixels than are allowed)."""
    state = PictureServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def _handler(state: PictureServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with state.lock:
                state.asked[self.path] += 1
                state.now += 1
                state.busiest = max(state.busiest, state.now)
            try:
                self._answer()
            except (BrokenPipeError, ConnectionResetError):
                pass
            finally:
                with state.lock:
                    state.now -= 1

        def _answer(self) -> None:
            kind, _, rest = self.path.strip("/").partition("/")
            seed = int(rest.partition(".")[0] or 0) if rest.partition(".")[0].isdigit() else 0
            if kind == "ok":
                time.sleep(0.02)
                self._send(200, photo_bytes(seed))
            elif kind == "flaky":
                self._send(*((200, photo_bytes(seed)) if state.asked[self.path] > 2 else (500, b"")))
            elif kind in ("late", "half"):
                early = {"late": b'{"error": "busy"}', "half": photo_bytes(seed)[:-900]}[kind]
                self._send(200, early if state.asked[self.path] == 1 else photo_bytes(seed))
            elif kind == "vast":
                self._send(200, vast_bytes())
            elif kind == "slow":
                time.sleep(3)
                self._send(200, photo_bytes())
            elif kind in ("drip", "endless"):
                self._stream(1 if kind == "drip" else 1 << 16, 0.05 if kind == "drip" else 0)
            elif kind in ("loop", "tofile", "moved"):
                self._send(
                    302, b"", Location={"loop": "/loop", "tofile": "file:///etc/passwd"}.get(kind, f"/ok/{rest}")
                )
            elif kind == "cut":
                self._send(200, photo_bytes()[:100], length=len(photo_bytes()))
            else:
                bodies = {"html": (200, b"<html>sorry</html>"), "text": (200, b"no picture"), "empty": (200, b""),
                          "down": (503, b"")}  # fmt: skip
                status, body = bodies.get(kind, (404, b""))
                self._send(status, body, **{"Content-Type": "text/html; charset=utf-8"} if kind == "html" else {})

        def _send(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body) if length is None else length), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def _stream(self, size: int, pause: float) -> None:
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b"x" * size)
                time.sleep(pause)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
