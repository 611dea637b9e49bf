"""What colours a photo shows, as numbers that a linear map can read a colour's name from."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

PATCH = 8
PATCH_CHANNELS = 3 * PATCH * PATCH
"""Of a cell's colours the first so many are its RGB patch, channel by channel; its histogram follows."""
_LEVELS = 4
CELL_CHANNELS = PATCH_CHANNELS + _LEVELS**3
_HUES = 12
_SIDE = 112
"""A photo's colours are counted on a thumbnail of this side."""
_WHITE = 0.92
"""Product photos stand on white: a pixel whose darkest channel is lighter is background."""


def cell_colours(image: Tensor, grid: int) -> Tensor:
    """``[B, 3, S, S]`` in [0, 1] -> ``[B, grid*grid, 256]`` in [-1, 1], row-major.

    A cell's 8x8 RGB patch of a thumbnail (192) and its histogram over 4x4x4 RGB boxes (64). Which colour a patch shows
    is no linear function of its pixels; of the histogram it is.
    """
    thumbnail = functional.interpolate(image, size=(grid * PATCH, grid * PATCH), mode="area")
    patches = functional.unfold(thumbnail, kernel_size=PATCH, stride=PATCH).transpose(1, 2)  # [B, G*G, 192]
    box = _rgb_box(patches.unflatten(2, (3, PATCH * PATCH)).transpose(1, 2))  # [B, G*G, 64]
    histogram = functional.one_hot(box, _LEVELS**3).float().mean(dim=2)
    return torch.cat([patches * 2 - 1, histogram], dim=2)


def whole_colours(image: Tensor) -> Tensor:
    """``[B, 3, S, S]`` in [0, 1] -> ``[B, 256]``: roots of the shares that colours have in what is not background.

    Histograms over 4x4x4 RGB boxes (64) and over 12 hues x 4 saturations x 4 values (192), each of length 1 (zero for
    a photo that is all white). The root, as in Hellinger's distance, lifts the small shares.
    """
    pixels = functional.interpolate(image, size=(_SIDE, _SIDE), mode="area").flatten(2)  # [B, 3, N]
    shown = (pixels.amin(dim=1) < _WHITE).float()  # [B, N]
    total = shown.sum(dim=1, keepdim=True).clamp_min(1)
    counted = [
        torch.zeros(len(image), boxes, device=image.device).scatter_add_(1, box, shown)
        for box, boxes in ((_rgb_box(pixels), _LEVELS**3), (_hsv_box(pixels), _HUES * _LEVELS**2))
    ]
    return torch.cat([(count / total).sqrt() for count in counted], dim=1)


def _level(share: Tensor, levels: int = _LEVELS) -> Tensor:
    return (share * levels).long().clamp_(0, levels - 1)


def _rgb_box(pixels: Tensor) -> Tensor:
    """``[B, 3, ...]`` in [0, 1] -> ``[B, ...]`` in 0..63."""
    red, green, blue = _level(pixels).unbind(dim=1)
    return (red * _LEVELS + green) * _LEVELS + blue


def _hsv_box(pixels: Tensor) -> Tensor:
    """``[B, 3, ...]`` in [0, 1] -> ``[B, ...]`` in 0..191. Hue as in Smith (1978), "Color gamut transform pairs"."""
    red, green, blue = pixels.unbind(dim=1)
    value, least = pixels.amax(dim=1), pixels.amin(dim=1)
    spread = value - least
    safe = spread.clamp_min(1e-6)
    sixth = torch.where(
        value == red,
        ((green - blue) / safe) % 6,
        torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    saturation = spread / value.clamp_min(1e-6)
    return (_level(sixth / 6, _HUES) * _LEVELS + _level(saturation)) * _LEVELS + _level(value)
