"""The token trie of one field: where its values part, and what must be fed to a model to score every one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fvrec.errors import FvrecError

Path = tuple[int, ...]


@dataclass(frozen=True)
class Branch:
    """A place where values part. ``node``: index of the fed token that stands before it, -1 for the trie's root.

    ``tokens``: the allowed next tokens, ascending. ``targets[i]``: where token i leads, past tokens that leave no
    choice: a branch, or ``-1 - value``.
    """

    node: int
    tokens: tuple[int, ...]
    targets: tuple[int, ...]


@dataclass(frozen=True)
class FieldTrie:
    """A field's values as token sequences, none a prefix of another.

    ``nodes``, ``parents``: the tokens to feed so that every branch below the root can be scored, each after its parent
    (-1: the root); empty where the first token tells all values apart. ``branches``: the root's first. ``steps``:
    ``[n_values, depth]`` int64, the columns of the branches' concatenated tokens that lead to a value, filled up with
    the column behind the last.
    """

    sequences: tuple[Path, ...]
    nodes: tuple[int, ...]
    parents: tuple[int, ...]
    branches: tuple[Branch, ...]
    steps: NDArray[np.int64]

    @property
    def ancestry(self) -> NDArray[np.bool_]:
        """``[M, M]``: may fed token i see fed token j, that is: is j on the path to i, or i itself?"""
        seen = np.eye(len(self.nodes), dtype=np.bool_)
        for index, parent in enumerate(self.parents):
            if parent >= 0:
                seen[index] |= seen[parent]
        return seen

    @property
    def depths(self) -> NDArray[np.int64]:
        """``[M]``: how many fed tokens stand before each."""
        return np.asarray(self.ancestry.sum(axis=1) - 1, dtype=np.int64)


def build_trie(field: str, sequences: Sequence[Path]) -> FieldTrie:
    """FvrecError when a sequence is empty, twice there, or a prefix of another: then values could not be told apart."""
    _check_prefix_free(field, sequences)
    forks = sorted(_forks(sequences), key=lambda fork: (len(fork), fork))
    paths = sorted({fork[:end] for fork in forks for end in range(1, len(fork) + 1)}, key=lambda p: (len(p), p))
    place = {path: index for index, path in enumerate(paths)}
    number = {fork: index for index, fork in enumerate(forks)}
    branches = tuple(
        Branch(place.get(fork, -1), tokens, tuple(_target((*fork, token), sequences, number) for token in tokens))
        for fork in forks
        for tokens in [tuple(sorted({s[len(fork)] for s in sequences if s[: len(fork)] == fork}))]
    )
    parents = tuple(place.get(path[:-1], -1) for path in paths)
    return FieldTrie(
        tuple(sequences), tuple(path[-1] for path in paths), parents, branches, _steps(sequences, forks, branches)
    )


def _check_prefix_free(field: str, sequences: Sequence[Path]) -> None:
    ordered = sorted(sequences)
    if not ordered or not ordered[0]:
        raise FvrecError("a field needs values, and each value tokens", where=field)
    for before, after in pairwise(ordered):
        if after[: len(before)] == before:
            raise FvrecError("two values cannot be told apart by their tokens", where=field, found=(before, after))


def _forks(sequences: Sequence[Path]) -> Iterator[Path]:
    """Every prefix after which at least two different tokens may come."""
    prefixes = {sequence[:end] for sequence in sequences for end in range(len(sequence))}
    for prefix in prefixes:
        if len({s[len(prefix)] for s in sequences if len(s) > len(prefix) and s[: len(prefix)] == prefix}) > 1:
            yield prefix


def _target(path: Path, sequences: Sequence[Path], forks: dict[Path, int]) -> int:
    """Follow the tokens that leave no choice to the next fork or to the one value that is left."""
    below = [value for value, sequence in enumerate(sequences) if sequence[: len(path)] == path]
    if len(below) == 1:
        return -1 - below[0]
    while path not in forks:
        path = (*path, sequences[below[0]][len(path)])
    return forks[path]


def _steps(sequences: Sequence[Path], forks: Sequence[Path], branches: Sequence[Branch]) -> NDArray[np.int64]:
    starts = np.cumsum([0, *(len(branch.tokens) for branch in branches)])
    columns = [
        [
            int(starts[index]) + branches[index].tokens.index(sequence[len(fork)])
            for index, fork in enumerate(forks)
            if sequence[: len(fork)] == fork
        ]
        for sequence in sequences
    ]
    depth = max(map(len, columns))
    filler = int(starts[-1])
    rows = [[*row, *[filler] * (depth - len(row))] for row in columns]
    return np.array(rows, dtype=np.int64).reshape(len(sequences), depth)
