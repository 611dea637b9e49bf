"""Images in any form -> tower features: decoded once, encoded in batches, remembered by the hash of what came in."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fvrec.errors import FvrecError
from fvrec.imaging import ImageError, decode_image, read_bytes
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.pixels import to_pixels
from fvrec.vlm.towers import Tower

ImageInput = Path | str | bytes | Image.Image
"""A file, its name, its bytes, or an opened image."""

_BATCH = 32


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """``sha256`` of what came in, with ``pixels`` ``[S, S, 3]`` uint8 or, if seen before, ``row``; or an ``error``."""

    sha256: str = ""
    pixels: NDArray[np.uint8] | None = None
    row: NDArray[np.float16] | None = None
    error: str = ""


@dataclass(frozen=True, eq=False)
class HeldFeatures:
    """Features in memory: hash -> ``[T, D]``. ``tower_name``: who made them."""

    held: Mapping[str, NDArray[np.float16]]
    tower_name: str = ""

    def rows(self, sha256s: Sequence[str]) -> NDArray[np.float16]:
        """``[B, T, D]`` in the order asked."""
        return np.stack([self.held[name] for name in sha256s])


class ImageFeatures:
    """Encodes images and remembers the newest ``keep``; with a ``cache``, all of them on disk."""

    def __init__(self, tower: Tower, cache: FeatureCache | None = None, *, keep: int = 256) -> None:
        if cache is not None and cache.tower.digest != tower.digest:
            raise FvrecError("the feature cache is another tower's", found=cache.tower.name, allowed=tower.name)
        self.tower = tower
        self._cache = cache
        self._keep = keep
        self._recent: OrderedDict[str, NDArray[np.float16]] = OrderedDict()

    def load(self, image: ImageInput) -> LoadedImage:
        """Hash and decode; a file that cannot be read is a result, not an exception. FvrecError for another type."""
        try:
            if isinstance(image, Image.Image):
                return self._opened(image)
            if not isinstance(image, bytes | str | Path):
                raise FvrecError("not an image", found=type(image).__name__, allowed="a path, bytes or a PIL image")
            data = image if isinstance(image, bytes) else read_bytes(Path(image))
            sha256 = hashlib.sha256(data).hexdigest()
            row = self._look_up(sha256)
            if row is not None:
                return LoadedImage(sha256, row=row)
            photo = decode_image(data, at_least=self.tower.image_size)
            return LoadedImage(sha256, to_pixels(photo, self.tower.image_size))
        except ImageError as problem:
            return LoadedImage(error=f"{problem.reason}: {problem}")

    def encode(self, images: Sequence[LoadedImage]) -> HeldFeatures:
        """The features of those that could be read."""
        held = {image.sha256: image.row for image in images if image.row is not None}
        new = {image.sha256: image.pixels for image in images if image.pixels is not None and image.sha256 not in held}
        names = list(new)
        for start in range(0, len(names), _BATCH):
            some = names[start : start + _BATCH]
            held.update(zip(some, self.tower.encode(np.stack([new[name] for name in some])), strict=True))
        if names and self._cache is not None:
            self._cache.put(names, np.stack([held[name] for name in names]))
        self._remember({name: held[name] for name in names})
        return HeldFeatures(held, self.tower.name)

    def _remember(self, rows: Mapping[str, NDArray[np.float16]]) -> None:
        self._recent.update(rows)
        while len(self._recent) > self._keep:
            self._recent.popitem(last=False)

    def _look_up(self, sha256: str) -> NDArray[np.float16] | None:
        if self._cache is not None and sha256 in self._cache:
            return np.asarray(self._cache.rows([sha256])[0])
        return self._recent.get(sha256)

    def _opened(self, image: Image.Image) -> LoadedImage:
        try:
            pixels = to_pixels(image, self.tower.image_size)
        except Exception as error:  # an image that was opened but not read yet fails as variously as a file does
            raise ImageError("image_unreadable", f"{type(error).__name__}: {error}") from error
        return LoadedImage(hashlib.sha256(pixels.tobytes()).hexdigest(), pixels)
