"""Spreading work: over processes of this machine, or in shards over whatever a ``Runner`` reaches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import BrokenProcessPool

from fvrec.errors import FvrecError

Task = TypeVar("Task")
Result = TypeVar("Result")
Answer = TypeVar("Answer", covariant=True)

Progress = Callable[[Iterable[Any]], Iterable[Any]]
"""Wraps what is counted: ``iter`` for silence, a progress bar elsewhere."""

WORTH_A_POOL = 300
"""Below so many tasks the start of the processes costs more than they save."""

SHARDS = 64
"""So many a pass keep some tens of workers busy; each is a row of the orchestrator's database."""
_UNDER_WAY = 256


class Pending(Protocol[Answer]):
    """A shard that was handed in."""

    def result(self) -> Answer:
        """Wait for it. Raises what its work raised: a FvrecError says the same as it would here."""
        ...


class Runner(Protocol):
    """Who does shards of a stage's work elsewhere: in threads, or on other machines (``tasks/shards.py``).

    A shard may be done twice when its worker is lost, so its work must leave the same behind the second time. Function
    and shard must be picklable by cloudpickle, paths in them absolute and on storage that all workers see.
    """

    def submit(self, function: Callable[[Task], Result], shard: Task) -> Pending[Result]: ...


def in_order(runner: Runner, function: Callable[[Task], Result], shards: Sequence[Task]) -> Sized[Result]:
    """The results of ``function`` of every shard, in order, a bounded number of them under way at a time."""

    def results() -> Iterator[Result]:
        pending: deque[Pending[Result]] = deque()
        for shard in shards:
            if len(pending) >= _UNDER_WAY:
                yield pending.popleft().result()
            pending.append(runner.submit(function, shard))
        while pending:
            yield pending.popleft().result()

    return Sized(results(), len(shards))


def each(runner: Runner | None, function: Callable[[Task], Result], shards: Sequence[Task]) -> list[Result]:
    """The result of every shard, in order; without a runner they are done here, one after the other."""
    return [function(shard) for shard in shards] if runner is None else list(in_order(runner, function, shards))


def cut(whole: Sequence[Task], *, least: int, most: int) -> list[Sequence[Task]]:
    """At most ``SHARDS`` pieces where they may be as large as that takes: each but the last a multiple of ``least``.

    >>> [len(piece) for piece in cut(range(10), least=4, most=8)]
    [4, 4, 2]
    """
    wanted = -(-len(whole) // SHARDS)
    size = min(-(-wanted // least) * least, most) or least
    return [whole[start : start + size] for start in range(0, len(whole), size)]


@dataclass(frozen=True)
class Sized(Generic[Result]):
    """An iterator whose length is known, so that a progress bar has an end."""

    iterator: Iterator[Result]
    length: int

    def __iter__(self) -> Iterator[Result]:
        return self.iterator

    def __len__(self) -> int:
        return self.length


def map_in_processes(
    function: Callable[[Task], Result], tasks: Sequence[Task], *, workers: int, chunk: int = 32
) -> Iterator[Result]:
    """``function`` of every task, in order, over ``workers`` processes (or in this one when that is faster).

    ``function`` must be importable by name. FvrecError when a process dies (killed, out of memory).
    """
    if workers <= 1 or len(tasks) < WORTH_A_POOL:
        yield from map(function, tasks)
        return
    chunks = [tasks[start : start + chunk] for start in range(0, len(tasks), chunk)]
    # loky starts clean processes: a forked child would find the locks of torch's and Prefect's threads held for ever,
    # and a spawned one would run the caller's script again.
    pool = Parallel(n_jobs=workers, backend="loky", return_as="generator", batch_size=1, pre_dispatch="4*n_jobs")
    try:
        for results in pool(delayed(_map_chunk)(function, part) for part in chunks):
            yield from results
    except BrokenProcessPool as error:
        raise FvrecError(
            "a worker process died (killed, or out of memory)", where=function.__qualname__, allowed="fewer workers"
        ) from error


def _map_chunk(function: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    return [function(task) for task in tasks]
