"""Whether a training can fit at all, asked before it starts: a killed process could not say why."""

from __future__ import annotations

from pathlib import Path

import psutil
import torch
from torch import nn

from fvrec.errors import FvrecError
from fvrec.vlm.plan import device_kind

_CGROUP = Path("/sys/fs/cgroup")
_OPTIMISER_COPIES = 3
"""Gradient and AdamW's two moments beside each trained weight, in float32."""


def training_bytes(model: nn.Module) -> int:
    """The least that training needs beyond the loaded model: gradients and optimiser state; activations come on top."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad) * 4 * _OPTIMISER_COPIES


def available_bytes() -> int:
    """Free memory of the device that will train; on CPU no more than the control group allows."""
    if device_kind() == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    free = int(psutil.virtual_memory().available)
    limit, used = (_number(_CGROUP / name) for name in ("memory.max", "memory.current"))
    return free if limit is None or used is None else min(free, limit - used + _reclaimable())


def require_memory(model: nn.Module, available: int | None = None) -> None:
    """FvrecError when gradients and optimiser state alone would not fit into ``available`` bytes (this machine's)."""
    room = available_bytes() if available is None else available
    needed = training_bytes(model)
    if needed > room:
        raise FvrecError(
            "too little memory to train this model",
            found=f"{room / 2**30:.1f} GiB free",
            allowed=f"at least {needed / 2**30:.1f} GiB and room for a batch: a smaller preset, or method lora",
        )


def _reclaimable() -> int:
    """File pages that the control group counts as used and gives up when asked."""
    try:
        lines = (_CGROUP / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None  # no control group, or no limit ("max")
