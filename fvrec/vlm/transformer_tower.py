"""The vision transformers of published models, and the averaging of neighbouring tokens of any tower."""

from __future__ import annotations

import hashlib
import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from transformers import CLIPVisionModel, SiglipVisionModel

from fvrec.artifacts import digest_file
from fvrec.errors import FvrecError
from fvrec.vlm.published import VISION
from fvrec.vlm.towers import Tower, accelerator, normalise, to_images

_KINDS: dict[str, tuple[Any, tuple[float, ...], tuple[float, ...]]] = {
    "clip": (CLIPVisionModel, (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "siglip2": (SiglipVisionModel, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
_OTHER_HALF = ("text_model.", "text_projection.", "visual_projection.", "logit_scale", "logit_bias")
"""Keys of a whole image-text model that its vision encoder does without."""


class TransformerTower:
    """Last hidden states of the patches: CLIP ViT (Radford et al., 2021) or SigLIP 2 (Tschannen et al., 2025).

    As MiniMind-V reads them: CLIP's without its class token and final norm, SigLIP2's with its final norm. Photos are
    padded to a square on white, where the published preprocessing crops (CLIP) or stretches (SigLIP2).
    """

    def __init__(self, name: str, network: Any, weights_digest: str) -> None:
        self.name = name
        self._network = network
        self._weights_digest = weights_digest
        config = network.config
        self.image_size = int(config.image_size)
        self.tokens = (config.image_size // config.patch_size) ** 2
        self.streams: tuple[int, ...] = (int(config.hidden_size),)

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.name}/1/{self._weights_digest}".encode()).hexdigest()

    @torch.inference_mode()
    def encode(self, pixels: NDArray[np.uint8]) -> NDArray[np.float16]:
        _, mean, std = _KINDS[self.name]
        image = normalise(to_images(pixels, self.image_size).to(self._network.device), mean, std)
        hidden = self._network(pixel_values=image).last_hidden_state  # [B, (1 +) T, D]
        return hidden[:, -self.tokens :].half().cpu().numpy()


class PooledTower:
    """Another tower with every ``side`` x ``side`` square of neighbouring cells averaged into one token.

    Where the grid is no multiple of ``side``, the squares overlap at their edges: 7 x 7 cells become 4 x 4, 3 x 3,
    2 x 2 or 1 x 1 tokens by sides of 2, 3, 4 and 7. Tokens behind the grid (a photo's summary) stay as they are.
    """

    def __init__(self, tower: Tower, side: int) -> None:
        grid = math.isqrt(tower.tokens)
        if not 1 <= side <= grid:
            raise FvrecError(
                "image tokens cannot be pooled by that",
                where=f"tower {tower.name}",
                found=side,
                allowed=f"1 to {grid}",
            )
        self.name = tower.name
        self.image_size = tower.image_size
        self.streams = tower.streams
        self._tower, self._cells, self._grid = tower, grid, -(-grid // side)
        self.tokens = self._grid**2 + tower.tokens - grid**2

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self._tower.digest}/grid{self._grid}".encode()).hexdigest()

    def encode(self, pixels: NDArray[np.uint8]) -> NDArray[np.float16]:
        features = torch.from_numpy(self._tower.encode(pixels)).float()
        grid, behind = features.split([self._cells**2, features.shape[1] - self._cells**2], dim=1)
        cells = grid.unflatten(1, (self._cells, self._cells)).permute(0, 3, 1, 2)
        squares = functional.adaptive_avg_pool2d(cells, self._grid).flatten(2).transpose(1, 2)
        return torch.cat([squares, behind], dim=1).half().numpy()


def pooled_by(tokens: int, tower: Tower) -> Tower:
    """The tower with so many tokens an image, as a model was trained behind it. FvrecError when it cannot give them."""
    if tokens == tower.tokens:
        return tower
    fitting = (PooledTower(tower, side) for side in range(2, math.isqrt(tower.tokens) + 1))
    found = next((pooled for pooled in fitting if pooled.tokens == tokens), None)
    if found is None:
        raise FvrecError("the tower gives no such number of tokens", where=f"tower {tower.name}", found=tokens)
    return found


def load_transformer_tower(name: str, weights: Path | None) -> TransformerTower:
    """The vision encoder below a published model's folder. FvrecError when it is not there or not whole."""
    if weights is None or not (weights / VISION / "config.json").is_file():
        raise FvrecError(
            f"the weights of tower {name} are not there",
            where=None if weights is None else weights / VISION,
            allowed="`fvrec weights fetch` gets them; --weights names a folder that has them",
        )
    folder = weights / VISION
    files = [path for path in sorted(folder.iterdir()) if path.suffix in (".json", ".safetensors", ".bin")]
    digest = hashlib.sha256(json.dumps([digest_file(path) for path in files]).encode()).hexdigest()
    return TransformerTower(name, _load_network(name, str(folder.resolve()), digest), digest)


@cache
def _load_network(name: str, folder: str, _digest: str) -> Any:
    kind = _KINDS[name][0]
    try:
        network, info = kind.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    except (OSError, ValueError, RuntimeError) as error:
        raise FvrecError(f"vision encoder cannot be read ({error})", where=folder) from error
    left_over = [key for key in info["unexpected_keys"] if not str(key).startswith(_OTHER_HALF)]
    problems = {"missing": sorted(info["missing_keys"]), "left over": sorted(left_over)}
    if any(problems.values()) or info["mismatched_keys"]:
        raise FvrecError("the vision encoder's keys do not fit", where=folder, found=problems)
    return network.eval().requires_grad_(False).to(accelerator())
