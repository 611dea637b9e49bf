"""Near-copies: which photos differ in at most ``NEAR`` of the 256 bits of their perceptual hash.

The bound was chosen by looking at pairs of the two real sets (37,477 Myntra products at 60 x 80, 10,473 of H&M). Up
to 8 bits, pairs are one photo compressed anew, or one design in another colour; beyond, ties, socks and black trousers
of different makers begin to meet. 90 % of the photos that were compressed anew at quality 75, or scaled by 3/4 or 2,
stay within 8 bits; half of those at quality 40 do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fvrec.perceptual import HASH_BYTES

NEAR = 8
WORDS = HASH_BYTES // 8
CROWD = 2_000
"""In a band that more photos share than this, each is compared with so many neighbours only: time stays linear."""
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], dtype=np.uint64)

Pairs = NDArray[np.int64]
"""``[P, 2]`` row numbers."""


def near_pairs(hashes: NDArray[np.uint64], bits: int = NEAR) -> Pairs:
    """All pairs of rows of ``hashes`` (``[N, 4]``) that differ in 1 to ``bits`` bits; equal rows must come once.

    By the pigeonhole principle, two hashes that differ in at most ``bits`` places agree in one of ``bits + 1`` bands,
    so only rows that share a band are compared (multi-index hashing: Norouzi, Punjani and Fleet, CVPR 2012).
    """
    found = [_close_in_band(hashes, mask, bits) for mask in _bands(bits + 1)]
    return np.unique(np.concatenate(found), axis=0) if found else np.empty((0, 2), dtype=np.int64)


def _bands(count: int) -> list[NDArray[np.uint64]]:
    """Masks ``[4]`` of every ``count``-th bit: low frequencies, which vary most, are dealt out evenly."""
    places = np.arange(64 * WORDS)
    return [np.packbits(places % count == band).view(np.uint64) for band in range(count)]


def _close_in_band(hashes: NDArray[np.uint64], mask: NDArray[np.uint64], bits: int) -> Pairs:
    # The sum may give two bands one key by chance: such a pair is compared in vain, none is missed.
    keys = ((hashes & mask) * _MIX).sum(axis=1, dtype=np.uint64)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    start, found = np.arange(len(order)), []
    for step in range(1, min(CROWD, len(order))):
        start = start[: np.searchsorted(start, len(order) - step)]
        start = start[keys[start] == keys[start + step]]
        if not len(start):
            break
        pairs = np.stack([order[start], order[start + step]], axis=1)
        distance = np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]).sum(axis=1)
        found.append(np.sort(pairs[distance <= bits], axis=1))
    return np.concatenate(found) if found else np.empty((0, 2), dtype=np.int64)
