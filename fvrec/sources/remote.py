"""Pictures behind URLs: fetched once into a cache below the raw folder, within limits of time, size and reach.

Only http and https to public addresses (unless private ones are allowed), at most ``MAX_REDIRECTS`` redirects, each
checked like the first address; a body is cut off past ``imaging.MAX_BYTES`` and kept only when it opens as a picture.
What fails is told apart from what may pass: a 404 is final, a time-out or a 5xx is tried again, a body that is no
picture by the next ingests until the same one has come ``SAME_BODY`` times; a host that does not answer is left alone
after a few URLs.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from fvrec.artifacts import atomic_write, digest_bytes
from fvrec.errors import FvrecError
from fvrec.imaging import IMAGE_TOO_LARGE, MAX_BYTES, ImageError, decode_image
from fvrec.parallel import Progress, Sized
from fvrec.records import utc_now
from fvrec.sources import reach

IMAGE_UNREACHABLE = "image_unreachable"
MAX_REDIRECTS = 5
ATTEMPTS = 3
SILENT_HOST = 8
"""So many URLs of one host in a row without any answer, and the rest of them is not asked for."""
SAME_BODY = 3
"""So many ingests got the very same broken body, and it is taken for what the host has."""
DECODED_SIDE = 32
"""What came is decoded to see that it is a picture, a large JPEG at a fraction: each side still so many pixels."""
_NEVER: Mapping[str, Any] = {"sha256": "", "times": 0, "why": ""}
_PASSING = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class FetchPolicy:
    """allow_private: also addresses that are not public. timeout_seconds: of one picture, all redirects included."""

    allow_private: bool = False
    max_connections: int = 8
    timeout_seconds: float = 20.0
    max_bytes: int = MAX_BYTES
    first_wait_seconds: float = 0.5


class _RefusedError(Exception):
    """Asking again would not help."""


class _PassingError(Exception):
    """Asking again may help."""


class _NoPictureError(Exception):
    """Asking again may help, but hardly at once: the host answered well, with something else than a picture."""

    def __init__(self, why: str, body_sha256: str) -> None:
        super().__init__(why)
        self.body_sha256 = body_sha256


class _SilentError(_PassingError):
    """The host did not answer at all."""


def is_address(cell: str) -> bool:
    """Whether a cell of an image column is an address rather than a path (any scheme; only some are fetched).

    >>> is_address("https://x.org/a.jpg"), is_address("images/a.jpg"), is_address("file:///etc/passwd")
    (True, False, True)
    """
    head, colon, rest = cell.partition(":")
    return cell.startswith("//") or (bool(colon) and rest.startswith("//")) or head.casefold() in ("data", "file")


@dataclass
class ImageCache:
    """Fetched pictures by the SHA-256 of their URL: ``<directory>/<2 hex digits>/<digest>``."""

    directory: Path
    policy: FetchPolicy = FetchPolicy()
    _failures: dict[str, str] = field(default_factory=dict)
    _may_pass: set[str] = field(default_factory=set)
    _broken: dict[str, dict[str, Any]] = field(default_factory=dict)
    _silent: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    # One picture at a time: many large ones side by side would not fit into the memory.
    _decoding: threading.Lock = field(default_factory=threading.Lock)

    def path(self, url: str) -> Path:
        """Where the picture of that URL is, or would be."""
        digest = hashlib.sha256(url.encode(errors="backslashreplace")).hexdigest()
        return self.directory / digest[:2] / digest

    def failure(self, url: str) -> str:
        """Why the picture is not there."""
        return self._failures.get(url, f"{url[:200]}: not fetched")

    def fetch(self, urls: Sequence[str], progress: Progress = iter) -> int:
        """Fetch what the cache lacks; returns how many of ``urls`` (each counted once) are there afterwards.

        FvrecError when the cache cannot be written or one of its folders is a link; a URL that fails is told by
        ``failure``.
        """
        distinct = list(dict.fromkeys(urls))
        self._broken = self._read_broken()
        missing = [url for url in distinct if not self.path(url).is_file() and not self._given_up(url)]
        if missing:
            self._refuse_links(missing)
            limits = httpx.Limits(max_connections=self.policy.max_connections)
            hooks: Mapping[str, list[Callable[..., None]]] = {"request": [self._guard], "response": [self._check_peer]}
            with (
                httpx.Client(
                    transport=reach.Routed(limits), timeout=self.policy.timeout_seconds, follow_redirects=True,
                    max_redirects=MAX_REDIRECTS, headers={"User-Agent": "fvrec", "Accept": "image/*,*/*;q=0.1"},
                    event_hooks=hooks,
                ) as client,
                ThreadPoolExecutor(self.policy.max_connections) as pool,
            ):  # fmt: skip
                waiting = [pool.submit(self._fetch_one, client, url) for url in missing]
                for done in progress(Sized(as_completed(waiting), len(waiting))):
                    done.result()
        self._remember_failures()
        return sum(self.path(url).is_file() for url in distinct)

    @property
    def retry_file(self) -> Path:
        """There, and new after each try, while pictures are missing that another try may bring."""
        return self.directory / "to_be_tried_again.json"

    @property
    def broken_file(self) -> Path:
        """Which URLs answered with something that is no picture: the body's digest, how often it came, and why."""
        return self.directory / "no_pictures.json"

    def _read_broken(self) -> dict[str, dict[str, Any]]:
        """What the file holds; nothing when it is absent or damaged: then the URLs are simply asked again."""
        try:
            body = json.loads(self.broken_file.read_text(encoding="utf-8"))
            known = {str(url): {**_NEVER, **entry} for url, entry in body.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}
        return {url: entry for url, entry in known.items() if isinstance(entry["times"], int)}

    def _given_up(self, url: str) -> bool:
        entry = self._broken.get(url, _NEVER)
        if entry["times"] < SAME_BODY:
            return False
        why = f"the same body came {entry['times']} times, {entry['why']} (delete {self.broken_file.name} to ask again)"
        self._fail(url, why, may_pass=False)
        return True

    def _count_body(self, url: str, problem: _NoPictureError) -> bool:
        """Whether another ingest should ask again."""
        entry = self._broken.get(url, _NEVER)
        times = entry["times"] + 1 if entry["sha256"] == problem.body_sha256 else 1
        with self._lock:
            self._broken[url] = {"sha256": problem.body_sha256, "times": times, "why": str(problem)}
        return times < SAME_BODY

    def _refuse_links(self, urls: Sequence[str]) -> None:
        for folder in sorted({self.path(url).parent for url in urls}):
            if folder.is_symlink():
                raise FvrecError("a folder of the fetched pictures is a link", where=folder, allowed="a plain folder")

    def _remember_failures(self) -> None:
        if self._broken or self.broken_file.exists():
            atomic_write(self.broken_file, json.dumps(dict(sorted(self._broken.items())), indent=2))
        if self._may_pass:
            body = {
                "tried_at": utc_now().isoformat(),
                "urls": {url: self._failures[url] for url in sorted(self._may_pass)},
            }
            atomic_write(self.retry_file, json.dumps(body, indent=2))
        else:
            self.retry_file.unlink(missing_ok=True)

    def _fetch_one(self, client: httpx.Client, url: str) -> None:
        host = httpx.URL(url).host if _parses(url) else ""
        if self._silent[host] >= SILENT_HOST:
            self._fail(url, "the host did not answer for other pictures", may_pass=True)
            return
        wait = wait_exponential_jitter(
            multiplier=self.policy.first_wait_seconds, max=8 * self.policy.first_wait_seconds
        )
        attempts = Retrying(
            stop=stop_after_attempt(ATTEMPTS), wait=wait, retry=retry_if_exception_type(_PassingError), reraise=True
        )
        try:
            data = attempts(self._get, client, url)
            self._require_picture(data)
        except (_RefusedError, _PassingError, _NoPictureError) as problem:
            with self._lock:
                self._silent[host] = self._silent[host] + 1 if isinstance(problem, _SilentError) else 0
            if isinstance(problem, _NoPictureError):
                may_pass = self._count_body(url, problem)
            else:
                may_pass = not isinstance(problem, _RefusedError)
            self._fail(url, str(problem), may_pass=may_pass)
            return
        with self._lock:
            self._silent[host] = 0
            self._may_pass.discard(url)
            self._broken.pop(url, None)
        atomic_write(self.path(url), data)

    def _require_picture(self, data: bytes) -> None:
        """An excuse under "200 OK", or half a photo, must not be kept as if it were the picture."""
        try:
            with self._decoding:
                decode_image(data, at_least=DECODED_SIDE)
        except ImageError as problem:
            # One that is too large is a picture all the same: the ingest says what is wrong with it.
            if problem.reason != IMAGE_TOO_LARGE:
                raise _NoPictureError(f"what came is no picture: {problem}", digest_bytes(data)) from problem

    def _fail(self, url: str, why: str, *, may_pass: bool) -> None:
        with self._lock:
            self._failures[url] = f"{url[:200]}: {why}"
            if may_pass:
                self._may_pass.add(url)

    def _get(self, client: httpx.Client, url: str) -> bytes:
        address = f"https:{url}" if url.startswith("//") else url
        deadline = time.monotonic() + self.policy.timeout_seconds
        try:
            with client.stream("GET", address) as response:
                _check_status(response)
                return self._body(response, deadline)
        except httpx.TooManyRedirects as error:
            raise _RefusedError(f"more than {MAX_REDIRECTS} redirects") from error
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _SilentError(f"no connection: {error}") from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.DecodingError, ValueError) as error:
            raise _RefusedError(f"{type(error).__name__}: {error}") from error
        except httpx.TransportError as error:
            raise _PassingError(f"{type(error).__name__}: {error}") from error

    def _body(self, response: httpx.Response, deadline: float) -> bytes:
        parts, size = [], 0
        for part in response.iter_bytes():
            size += len(part)
            if size > self.policy.max_bytes:
                raise _RefusedError(f"more than {self.policy.max_bytes} bytes")
            if time.monotonic() > deadline:
                raise _PassingError(f"not complete after {self.policy.timeout_seconds:g} s")
            parts.append(part)
        if not size:
            raise _RefusedError("an empty answer")
        return b"".join(parts)

    def _guard(self, request: httpx.Request) -> None:
        """Called by the client before each request, redirected ones included."""
        if request.url.scheme not in ("http", "https"):
            raise _RefusedError(f"only http and https are fetched, not {request.url.scheme}:")
        if self.policy.allow_private:
            return
        host = request.url.host
        # Behind a proxy names are resolved by the proxy; an address that is written out is judged all the same.
        if reach.is_literal(host):
            _require_public(host)
        elif not reach.proxy_for(request.url):
            for address in _resolve(request.url):
                _require_public(address)

    def _check_peer(self, response: httpx.Response) -> None:
        """A name may resolve to another address when the connection is made: the peer itself is looked at too."""
        stream = response.extensions.get("network_stream")
        peer = stream.get_extra_info("server_addr") if stream is not None else None
        if peer and not self.policy.allow_private and not reach.proxy_for(response.request.url):
            _require_public(peer[0])


def _check_status(response: httpx.Response) -> None:
    status = f"HTTP {response.status_code}"
    if response.status_code in _PASSING:
        raise _PassingError(status)
    if response.status_code != httpx.codes.OK:
        raise _RefusedError(status)
    # A site that answers with its page for what is gone will do so tomorrow too: final, unlike other wrong bodies.
    if response.headers.get("content-type", "").startswith("text/html"):
        raise _RefusedError("the server sent a web page")


def _parses(url: str) -> bool:
    try:
        httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return False
    return True


def _resolve(url: httpx.URL) -> list[str]:
    try:
        return reach.resolve(url.host, url.port or 443)
    except (OSError, UnicodeError) as error:
        raise _SilentError(f"the host's name is not known: {error}") from error


def _require_public(address: str) -> None:
    if not reach.public(address):
        raise _RefusedError(f"{address} is not a public address (images.allow_private)")
