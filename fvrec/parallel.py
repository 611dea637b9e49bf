"""Spreading work over processes, the results in the order of the tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import BrokenProcessPool

from fvrec.errors import FvrecError

Task = TypeVar("Task")
Result = TypeVar("Result")

Progress = Callable[[Iterable[Any]], Iterable[Any]]
"""Wraps what is counted: ``iter`` for silence, a progress bar elsewhere."""

WORTH_A_POOL = 300
"""Below so many tasks the start of the processes costs more than they save."""


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
