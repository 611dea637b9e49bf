"""Requests that arrive together are read together: a queue, a short wait, one batch after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from PIL import Image

from fvrec.vlm.decoding_types import Reading

Read = Callable[[Sequence[Image.Image], Sequence[str]], Sequence[Reading]]


class QueueFullError(Exception):
    """More requests are waiting than the service is ready to hold."""


@dataclass(frozen=True)
class BatchPolicy:
    """When a batch is full (``largest``), how long its first request waits for company, how many may stand in line."""

    largest: int = 16
    wait_ms: float = 10.0
    waiting: int = 256


@dataclass
class BatchCounts:
    """What has been read so far."""

    requests: int = 0
    batches: int = 0
    largest: int = 0


@dataclass
class _Job:
    image: Image.Image
    title: str
    answer: asyncio.Future[Reading]


@dataclass
class Batcher:
    """Hands requests to ``read`` in batches, from one thread: a model computes one batch at a time.

    Use as an async context manager; leaving it reads what is still waiting.
    """

    read: Read
    policy: BatchPolicy = field(default_factory=BatchPolicy)
    counts: BatchCounts = field(default_factory=BatchCounts)

    async def __aenter__(self) -> Batcher:
        self._queue: asyncio.Queue[_Job | None] = asyncio.Queue(self.policy.waiting)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="extract")
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._queue.put(None)
        await self._worker
        self._pool.shutdown()

    @property
    def waiting(self) -> int:
        """Requests in line."""
        return self._queue.qsize()

    async def submit(self, image: Image.Image, title: str) -> Reading:
        """The reading of one product. QueueFullError when too many wait; what ``read`` raises otherwise."""
        job = _Job(image, title, asyncio.get_running_loop().create_future())
        try:
            self._queue.put_nowait(job)
        except asyncio.QueueFull as error:
            raise QueueFullError(f"{self.policy.waiting} requests are waiting") from error
        return await job.answer

    async def _work(self) -> None:
        open_ = True
        while open_:
            jobs, open_ = await self._collect()
            # Whoever has hung up meanwhile is not worth a place in the batch.
            jobs = [job for job in jobs if not job.answer.done()]
            if jobs:
                await self._answer(jobs)

    async def _collect(self) -> tuple[list[_Job], bool]:
        """The next batch, and whether more may follow."""
        first = await self._queue.get()
        if first is None:
            return [], False
        jobs = [first]
        with suppress(TimeoutError):
            async with asyncio.timeout(self.policy.wait_ms / 1000):
                while len(jobs) < self.policy.largest:
                    job = await self._queue.get()
                    if job is None:
                        return jobs, False
                    jobs.append(job)
        return jobs, True

    async def _answer(self, jobs: Sequence[_Job]) -> None:
        loop = asyncio.get_running_loop()
        images, titles = [job.image for job in jobs], [job.title for job in jobs]
        try:
            readings = await loop.run_in_executor(self._pool, self.read, images, titles)
        except Exception as error:
            # One bad batch must not end the service: each of its requests gets the error, the next batch goes on.
            for job in jobs:
                if not job.answer.done():
                    job.answer.set_exception(error)
            return
        self.counts.requests += len(jobs)
        self.counts.batches += 1
        self.counts.largest = max(self.counts.largest, len(jobs))
        for job, reading in zip(jobs, readings, strict=True):
            if not job.answer.done():
                job.answer.set_result(reading)
