import os
import signal

import pytest

from fvrec.errors import FvrecError
from fvrec.parallel import WORTH_A_POOL, map_in_processes

MANY = range(WORTH_A_POOL + 7)


def process_of(task: int) -> tuple[int, int]:
    return task, os.getpid()


def die_at_five(task: int) -> int:
    if task == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def test_many_tasks_go_to_other_processes_and_come_back_in_order() -> None:
    results = list(map_in_processes(process_of, MANY, workers=2))
    assert [task for task, _ in results] == list(MANY)
    assert os.getpid() not in {process for _, process in results}


def test_few_tasks_stay_here() -> None:
    assert list(map_in_processes(process_of, range(3), workers=2)) == [(task, os.getpid()) for task in range(3)]


def test_a_killed_worker_is_an_error_not_a_hang() -> None:
    with pytest.raises(FvrecError, match="worker process died"):
        list(map_in_processes(die_at_five, MANY, workers=2))
    assert len(list(map_in_processes(process_of, MANY, workers=2))) == len(MANY)
