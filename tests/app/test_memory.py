"""What lives long stays out of full collections, and garbage still goes."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from app import memory


class _Node:
    """One that holds itself: only the collector can free it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def spared() -> Iterator[None]:
    memory.spare()
    memory.look_again()
    gc.collect()
    yield
    memory.look_again()


@pytest.fixture
def catalogue() -> list[dict[str, list[int]]]:
    return [{"row": [number]} for number in range(200_000)]


@pytest.fixture
def left_out(spared: None) -> weakref.ref[_Node]:
    """A cycle that was there before a catalogue, was left out together with it, and has died since."""
    node = _Node()
    gone = weakref.ref(node)
    catalogue = [{"row": [number]} for number in range(200_000)]
    gc.collect()
    assert gc.get_freeze_count() > len(catalogue)
    del node
    return gone


def test_a_long_collection_is_the_last_that_meets_the_catalogue(
    spared: None, catalogue: list[dict[str, list[int]]]
) -> None:
    gc.collect()
    assert gc.get_freeze_count() > len(catalogue)
    assert not any(found is catalogue for found in gc.get_objects())


def test_garbage_goes_although_much_lives(spared: None, catalogue: list[dict[str, list[int]]]) -> None:
    gc.collect()
    node = weakref.ref(_Node())
    gc.collect()
    assert node() is None


def test_what_was_left_out_can_go_after_another_look(left_out: weakref.ref[_Node]) -> None:
    gc.collect()
    assert left_out() is not None, "it is among what was left out"
    memory.look_again()
    gc.collect()
    assert left_out() is None


def test_what_visitors_left_goes_after_a_while(left_out: weakref.ref[_Node], monkeypatch: pytest.MonkeyPatch) -> None:
    memory.spare()
    gc.collect()
    assert left_out() is not None, "not at once"
    monkeypatch.setattr(memory, "AGAIN_S", 0.0)
    memory.spare()
    gc.collect()
    assert left_out() is None


def test_what_is_let_go_after_another_was_opened_goes_at_the_next_run(left_out: weakref.ref[_Node]) -> None:
    before = gc.get_freeze_count()
    memory.look_again_soon()
    more = [{"row": [number]} for number in range(200_000)]
    gc.collect()
    assert gc.get_freeze_count() > before + len(more)
    assert left_out() is not None, "what was opened meanwhile did not let it go"
    memory.spare()
    gc.collect()
    assert left_out() is None


def test_listening_begins_once(spared: None) -> None:
    before = len(gc.callbacks)
    memory.spare()
    assert len(gc.callbacks) == before
