"""QLoRA (Dettmers et al., 2023): the frozen LLM in 4-bit NormalFloat, LoRA and projector beside it in full."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from fvrec.errors import FvrecError
from fvrec.vlm.model import MiniMindVLM, read_checkpoint


def require_quantization() -> None:
    """FvrecError unless bitsandbytes is installed and a CUDA device is there to run it."""
    if find_spec("bitsandbytes") is None:
        raise FvrecError(
            "4-bit training needs bitsandbytes, which is not installed",
            allowed="pip install 'fvrec[qlora]', or a preset with quantize=False",
        )
    if not torch.cuda.is_available():
        raise FvrecError("4-bit training needs a CUDA device", allowed="a GPU, or a preset with quantize=False")


def load_quantized(directory: Path) -> MiniMindVLM:
    """The base checkpoint with its LLM's linear maps in 4 bits; embedding, output layer and projector stay whole.

    The adapter that is trained on it is merged into the base in full precision. FvrecError as ``require_quantization``.
    """
    require_quantization()
    from transformers import BitsAndBytesConfig

    compute = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    config: Any = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
        llm_int8_skip_modules=["projector", "lm_head"],
    )
    return read_checkpoint(directory, quantization_config=config, device_map={"": 0})
