"""Vision towers: pixels in, a grid of frozen features out.

``LiteTower`` = EfficientNet-Lite0 or Lite2 (Liu, 2020; ImageNet weights from the package index) beside low-level colour
patches, and two tokens that sum the photo up. The classifier features alone are nearly blind to colour, which the 8x8
RGB patches of a small thumbnail mend. ``tower_tuning.py`` fits the last blocks to a catalogue; CLIP and SigLIP2 are in
``transformer_tower.py``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fvrec.config import TUNED
from fvrec.errors import FvrecError
from fvrec.vlm.colours import cell_colours, whole_colours
from fvrec.vlm.lite import IMAGENET_MEAN, IMAGENET_STD, lite_network, tuned_file


@dataclass(frozen=True)
class LiteSize:
    """Side of the photo in pixels, and of the grid of features that becomes of it."""

    image_size: int
    grid: int


_SHOWN = 8
"""Hex digits of a tuned tower's digest that its name bears."""
LITE_SIZES = {"lite0": LiteSize(224, 7), "lite2": LiteSize(260, 9)}


class Tower(Protocol):
    """A frozen encoder of square RGB images.

    ``streams``: widths of the channel slices of a token; each slice has its own projection into the LLM.
    ``digest`` changes when weights or preprocessing do, so that cached features are never stale.
    """

    name: str
    image_size: int
    tokens: int
    streams: tuple[int, ...]

    @property
    def digest(self) -> str: ...

    def encode(self, pixels: NDArray[np.uint8]) -> NDArray[np.float16]:
        """``[B, S, S, 3]`` uint8 RGB -> ``[B, T, sum(streams)]`` float16."""
        ...


class LiteTower:
    """EfficientNet-Lite features (1280, halved), the same cells' colours (256, [-1, 1]), the photo's colours (256).

    The grid's cells come first, row by row; their third stream is zero. Two tokens sum the photo up: the mean over the
    cells of the first two streams beside the colours of what is not background (``colours.py``), and the cells' maximum
    of the first stream. A probe on pooled features reads colour better than a transformer that has to count cells, and
    a small part of a photo lasts in a maximum where it drowns in a mean (docs/results/extraction.md).
    """

    streams: tuple[int, ...] = (1280, 256, 256)
    _version = 4  # of the preprocessing below

    def __init__(self, name: str, tuned: Path | None = None) -> None:
        """``tuned``: file of weights that were fitted to a catalogue. They are part of the name, as features, models
        and picture vectors that were made with others are of no use behind them."""
        size = LITE_SIZES[name]
        self.image_size = size.image_size
        self.tokens = size.grid**2 + 2
        self._grid = size.grid
        self._device = accelerator()
        self._network, self._weights_digest = lite_network(name, self._device, tuned)
        self.name = name if tuned is None else f"{name}{TUNED}-{self._weights_digest[:_SHOWN]}"

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.name}/{self._version}/{self._weights_digest}".encode()).hexdigest()

    @torch.inference_mode()
    def encode(self, pixels: NDArray[np.uint8]) -> NDArray[np.float16]:
        image = to_images(pixels, self.image_size).to(self._device)
        normalised = normalise(image, IMAGENET_MEAN, IMAGENET_STD).contiguous(memory_format=torch.channels_last)
        # On CPU channels-last + bfloat16 is several times faster than either alone (depthwise convolutions).
        with torch.autocast(self._device, dtype=torch.bfloat16):
            deep = self._network.extract_features(normalised)  # [B, 1280, G, G]
        deep = deep.float().flatten(2).transpose(1, 2).div_(2)  # [B, G*G, 1280]
        cells = torch.cat([deep, cell_colours(image, self._grid)], dim=2)
        whole = whole_colours(image).unsqueeze(1)
        cells = functional.pad(cells, (0, whole.shape[2]))  # [B, G*G, 1792]
        mean = torch.cat([cells.mean(dim=1, keepdim=True)[:, :, : -whole.shape[2]], whole], dim=2)
        greatest = functional.pad(deep.amax(dim=1, keepdim=True), (0, cells.shape[2] - deep.shape[2]))
        return torch.cat([cells, mean, greatest], dim=1).half().cpu().numpy()


def accelerator() -> str:
    """Where towers and readers run: ``cuda`` or ``cpu`` (Apple's is not trusted with bfloat16 here)."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def to_images(pixels: NDArray[np.uint8], size: int) -> Tensor:
    """``[B, S, S, 3]`` uint8 -> ``[B, 3, S, S]`` in [0, 1]; FvrecError on another shape."""
    if pixels.ndim != 4 or pixels.shape[1:] != (size, size, 3):
        raise FvrecError("pixels have the wrong shape", found=pixels.shape, allowed=f"[B, {size}, {size}, 3] uint8")
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)


def normalise(image: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Channel by channel to the scale that a network was trained on."""
    shape = (1, 3, 1, 1)
    return (image - image.new_tensor(mean).view(shape)) / image.new_tensor(std).view(shape)


_TUNED_NAME = re.compile(rf"({'|'.join(LITE_SIZES)}){TUNED}(-[0-9a-f]{{{_SHOWN}}})?")
TOWERS = (*LITE_SIZES, *(f"{name}{TUNED}" for name in LITE_SIZES), "clip", "siglip2")


def load_tower(name: str, *, pool: int = 1, weights: Path | None = None) -> Tower:
    """The tower of that name; FvrecError names the allowed ones otherwise.

    ``lite0-tuned`` is whichever one lies in ``weights``, ``lite0-tuned-0123abcd`` that one alone.

    ``pool``: side of the square of neighbouring cells that are averaged into one token. ``weights``: folder of a
    published model, or of a tuned tower, for those whose weights are in no package (``clip``, ``lite0-tuned``, ...).
    """
    from fvrec.vlm.transformer_tower import PooledTower, load_transformer_tower

    tower: Tower
    if name in LITE_SIZES:
        tower = LiteTower(name)
    elif (tuned := _TUNED_NAME.fullmatch(name)) is not None:
        tower = LiteTower(tuned[1], tuned_file(weights))
        if tuned[2] and tower.name != name:
            raise FvrecError(
                "the vision tower was tuned again: this was made with another one",
                where=weights,
                found=tower.name,
                allowed=f"{name}; `fvrec run` makes everything behind the new one",
            )
    elif name in TOWERS:
        tower = load_transformer_tower(name, weights)
    else:
        raise FvrecError("unknown vision tower", found=name, allowed=TOWERS)
    return tower if pool == 1 else PooledTower(tower, pool)
