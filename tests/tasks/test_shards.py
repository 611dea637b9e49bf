"""A shard is only done where its result is the one that the stage itself would make."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from fvrec.errors import FvrecError
from tasks import shards
from tasks.shards import Conditions, Work


def threads(_: int) -> tuple[int, set[int]]:
    """torch's and NumPy's."""
    return torch.get_num_threads(), {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


HERE = Conditions.here("fvrec.stats")


def test_a_shard_is_done_where_everything_is_the_same() -> None:
    assert Work(math.sqrt, 9, Conditions.here("math"))() == 3


def test_another_version_of_the_code_is_refused() -> None:
    with pytest.raises(FvrecError, match=r"another version of fvrec; .* found: '?[0-9a-f]{12}'?; allowed: '?0ther"):
        replace(HERE, code="0ther").require_here("fvrec.stats")


def test_another_version_of_a_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dict(HERE.libraries)["Python"] == "3.11"
    assert {"torch", "numpy", "pillow"} <= {*dict(HERE.libraries)}
    assert "none" not in dict(HERE.libraries).values()
    versions = {**dict(HERE.libraries), "torch": "1.0"}
    monkeypatch.setattr(shards, "_version", versions.__getitem__)
    here = torch.__version__.partition("+")[0]
    with pytest.raises(FvrecError, match=f"a worker has another torch; .*found: '1.0'; allowed: '?{here}'?$"):
        Work(math.sqrt, 9, replace(HERE, code=""))()


def test_a_library_that_a_worker_lacks_is_named() -> None:
    with pytest.raises(FvrecError, match=r"a worker has another no-such-library; .*found: '?none'?; allowed: '?1.0'?"):
        replace(HERE, libraries=(("no-such-library", "1.0"),)).require_here("fvrec.stats")


def test_a_shard_gets_the_threads_of_its_stage() -> None:
    before = torch.get_num_threads()
    try:
        found = Work(threads, 0, replace(Conditions.here(__name__), threads=3, blas=2))()
    finally:
        torch.set_num_threads(before)
    assert found == (3, {2})


def test_threads_of_numpy_are_as_before_afterwards() -> None:
    with threadpool_limits(1, user_api="blas"):
        Work(threads, 0, replace(Conditions.here(__name__), blas=2))()
        assert threads(0)[1] == {1}
