"""Perceptual hash: two copies of one photo, scaled or compressed anew, differ in a few bits of 256.

The hash is that of ImageHash's ``phash(image, hash_size=16, highfreq_factor=2)``, bit for bit: the signs of the 16 x 16
lowest frequencies of the 32 x 32 greyscale photo against their median (Zauner, "Implementation and Benchmarking of
Perceptual Image Hash Functions", 2010). Written with NumPy alone, so that worker processes need not load SciPy.
The usual 64 bits do not tell one pair of black trousers from the next: see ``fvrec.catalog.near``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE, LOW = 32, 16
HASH_BYTES = LOW * LOW // 8
FLAT = 4.0
"""Standard deviation of grey levels below which a photo has no structure to be recognised by."""
_STEPS = np.arange(SIDE)
_DCT: NDArray[np.float64] = np.cos(np.pi * np.arange(LOW)[:, None] * (2 * _STEPS[None, :] + 1) / (2 * SIDE))
"""``[16, 32]``: the low rows of the type-II discrete cosine transform, up to a factor that no sign depends on."""


def perceptual_hash(image: Image.Image) -> bytes:
    """32 bytes, row of frequencies by row; no bytes for a photo that is one flat tone."""
    grey = np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS), dtype=np.float64)
    if grey.std() < FLAT:
        return b""
    low = _DCT @ grey @ _DCT.T
    return np.packbits(low > np.median(low)).tobytes()
