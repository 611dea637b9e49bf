"""Reading every photo once: by workers while rows still come in, and not at all when it is known already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from os.path import abspath

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import BrokenProcessPool

from fvrec.catalog.known import KnownPhotos
from fvrec.errors import FvrecError
from fvrec.imaging import IMAGE_MISSING, IMAGE_UNREADABLE, SHA256_BYTES, Inspections, inspect_image, inspect_many
from fvrec.parallel import SHARDS, WORTH_A_POOL, Pending, Runner
from fvrec.perceptual import HASH_BYTES

CHUNK = 128
"""Photos a task: some tens of milliseconds of work for one message in each direction."""
SMALLEST_SHARD, LARGEST_SHARD = 64, 8192
"""Photos a shard of a ``Runner``. How many there will be is not known while rows come in: shards grow as they do, so
that 1,000 photos are 16 shards and a million are about 220."""


@dataclass(frozen=True)
class Seen:
    """One photo: the SHA-256 of its bytes and its perceptual hash (zeros: none), or why it cannot be used."""

    sha256: bytes = b""
    phash: bytes = b""
    reason: str = ""
    detail: str = ""


@dataclass
class _Chunk:
    """Photos in the order of their rows: those that are known, and the paths of those to be read.

    sent: the paths that a ``Runner`` has got, NUL-separated.
    """

    known: list[bytes | None] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    sent: str = ""
    answer: Pending[Inspections] | None = None


class Inspector:
    """Photos go in by ``add`` in any number; ``results`` gives them back in that order.

    Fewer than ``WORTH_A_POOL`` unknown photos are read in this process. With a ``runner`` all of them are read there.
    unread: how many were not known.
    """

    def __init__(self, known: KnownPhotos, workers: int, runner: Runner | None = None) -> None:
        self._known, self._workers, self._runner = known, workers, runner
        self._pool: ProcessPoolExecutor | None = None
        self._chunks = [_Chunk()]
        self._sent = 0
        self.unread = 0

    def add(self, path: str, key: bytes) -> None:
        """``key`` changes whenever the file does."""
        chunk = self._chunks[-1]
        found = self._known.get(key)
        chunk.known.append(found)
        if found is None:
            chunk.paths.append(path)
            chunk.keys.append(key)
            self.unread += 1
        size = CHUNK if self._runner is None else _growing(len(self._chunks))
        if len(chunk.paths) >= size or len(chunk.known) >= 8 * size:
            self._chunks.append(_Chunk())
            self._send(len(self._chunks) - 1)

    def results(self) -> Iterator[Seen]:
        """Every photo in the order of ``add``.

        FvrecError when a worker dies (killed, out of memory), or a runner's worker does not see what is there.
        """
        self._send(len(self._chunks))
        self._chunks.reverse()
        while self._chunks:
            yield from self._opened(self._chunks.pop())

    def close(self) -> None:
        """End the workers; nobody waits for what is still to be read."""
        if self._pool is not None:
            self._pool.shutdown(wait=not self._chunks, kill_workers=bool(self._chunks))

    def _send(self, count: int) -> None:
        """Hand the first ``count`` chunks to the workers, when there is enough to do for them."""
        if self._runner is None and (self._workers <= 1 or self.unread < WORTH_A_POOL):
            return
        for chunk in self._chunks[self._sent : count]:
            if chunk.paths:
                chunk.answer = self._submit(chunk)
                chunk.paths.clear()
        self._sent = max(self._sent, count)

    def _submit(self, chunk: _Chunk) -> Pending[Inspections]:
        if self._runner is not None:
            chunk.sent = "\0".join(map(abspath, chunk.paths))
            return self._runner.submit(inspect_many, chunk.sent)
        # loky starts clean processes: a forked child would find the locks of torch's and Prefect's threads held for
        # ever, and a spawned one would run the caller's script again.
        # A pool of its own: joblib's Parallel takes the reusable one for one that it has made itself.
        self._pool = self._pool or ProcessPoolExecutor(max_workers=self._workers)
        pending: Pending[Inspections] = self._pool.submit(inspect_many, "\0".join(chunk.paths))
        return pending

    def _opened(self, chunk: _Chunk) -> Iterator[Seen]:
        try:
            seen = chunk.answer.result() if chunk.answer else _here(chunk.paths)
        except BrokenProcessPool as error:
            raise FvrecError(
                "a worker process died (killed, or out of memory)", where="reading photos", allowed="fewer workers"
            ) from error
        if chunk.sent:
            _require_seen(chunk.sent.split("\0"), seen)
        width, at = SHA256_BYTES + HASH_BYTES, 0
        for known in chunk.known:
            if known is None:
                found = seen.found[at * width : (at + 1) * width]
                reason, detail = seen.problems.get(at, ("", ""))
                if not reason:
                    self._known.add(chunk.keys[at], found)
                at += 1
            else:
                found, reason, detail = known, "", ""
            yield Seen(found[:SHA256_BYTES], found[SHA256_BYTES:], reason, detail)


def _growing(shards: int) -> int:
    """Photos of the last of so many shards: a quarter of ``SHARDS`` of one size, then as many of twice the size."""
    return int(min(SMALLEST_SHARD << (shards - 1) // (SHARDS // 4), LARGEST_SHARD))


def _require_seen(paths: list[str], seen: Inspections) -> None:
    """FvrecError when a photo is bad for a worker alone: its row would be quarantined for what the worker lacks."""
    for at, (reason, detail) in seen.problems.items():
        if reason in (IMAGE_MISSING, IMAGE_UNREADABLE) and not inspect_image(paths[at]).reason:
            raise FvrecError(
                "a worker does not see the raw folder",
                where=paths[at],
                found=f"{reason}: {detail}",
                allowed="the raw folder under the same path on every machine",
            )


def _here(paths: list[str]) -> Inspections:
    return inspect_many("\0".join(paths)) if paths else Inspections(b"", {})
