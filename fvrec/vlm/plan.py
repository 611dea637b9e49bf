"""What a training stage is told, what it reports, and the number format that its device computes in."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import torch

from fvrec.config import TrainingBudget
from fvrec.errors import FvrecError
from fvrec.records import CurvePoint

Method = Literal["pretrain", "sft", "lora"]
Precision = Literal["bf16", "fp16", "fp32"]


@dataclass(frozen=True)
class TrainingPlan:
    """The numbers of one stage. ``epochs`` counts passes over the items, one input variant a pass.

    batch_size: samples an optimiser step sees, over all processes; ``accumulation`` splits it further, so that
    neither changes what is learned, the draws of dropout apart. feature_dropout: share of a photo's features, and of
    the projector's hidden units, that a step does not see. swapped_photos: share of the samples with photo and title
    whose photo is drawn from all products (``fvrec/vlm/schedule.py``). views: augmented views of a photo
    (``fvrec/vlm/pixels.py``) that are drawn from, beside the photo itself. bucket: so many batches are sorted by
    length together (1: none). evaluations: how often the loss on val is taken; patience: after so many of them
    without a better loss training stops and the best is kept (0: the last is kept). checkpoints: how many are made
    where no evaluation sets the pace. freeze_llm: ``pretrain`` teaches projector and added tokens alone. quantize:
    the frozen LLM in 4 bits (QLoRA, Dettmers et al., 2023).
    """

    method: Method
    epochs: float
    batch_size: int
    learning_rate: float
    seed: int
    lora_rank: int = 0
    lora_alpha: int = 0
    warmup_share: float = 0.05
    accumulation: int = 1
    gradient_checkpointing: bool = False
    label_smoothing: float = 0.0
    feature_dropout: float = 0.0
    swapped_photos: float = 0.0
    views: tuple[str, ...] = ()
    bucket: int = 1
    evaluations: int = 0
    patience: int = 0
    checkpoints: int = 20
    freeze_llm: bool = False
    quantize: bool = False

    def __post_init__(self) -> None:
        if self.batch_size % self.accumulation:
            raise FvrecError(
                "batch_size is not a multiple of accumulation", found=self.batch_size, allowed=str(self.accumulation)
            )
        if not 0.0 <= self.swapped_photos <= 1.0:
            raise FvrecError("swapped_photos is no share", found=self.swapped_photos, allowed="0 to 1")
        if self.patience and not self.evaluations:
            raise FvrecError("early stopping needs evaluations on val", found=self.evaluations, allowed="1 or more")

    @classmethod
    def of(cls, budget: TrainingBudget, method: Method, seed: int) -> TrainingPlan:
        """What a preset's budget says about one stage: what both name alike, and the stage's own epochs and rate."""
        alike = {field.name for field in fields(cls)} & {field.name for field in fields(budget)}
        of_lora = {"lora_rank", "lora_alpha", "quantize"}
        left_out = {
            "pretrain": {*of_lora, "swapped_photos"},
            "sft": {*of_lora, "freeze_llm"},
            "lora": {"freeze_llm"},
        }[method]
        return cls(
            method=method,
            epochs=getattr(budget, f"{method}_epochs"),
            learning_rate=getattr(budget, f"{method}_lr"),
            seed=seed,
            **{name: getattr(budget, name) for name in alike - left_out},
        )

    @property
    def weight_decay(self) -> float:
        """Only a base trained whole decays: elsewhere, rows and weights that get no gradient must stay as they are."""
        return 0.01 if self.method == "pretrain" and not self.freeze_llm else 0.0

    def micro_batch(self, processes: int) -> int:
        """Samples that one process sees at once. FvrecError when the batch cannot be shared out evenly."""
        parts = self.accumulation * processes
        if self.batch_size % parts:
            raise FvrecError(
                "a batch cannot be shared out evenly over the processes",
                found=self.batch_size,
                allowed=f"a multiple of accumulation x processes = {parts}",
            )
        return self.batch_size // parts

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class TrainingOutcome:
    """What a stage reports: mean loss of the first and last tenth, the curves, sizes and speed.

    tokens_per_sample: text tokens, image positions apart. tokens_per_second: LLM positions without padding, image
    positions included. padding_waste: share of the positions in batches that hold nothing. best_step: whose weights
    were kept. resumed_from: the step at which an interrupted run was taken up again (0: a run in one piece).
    """

    first_loss: float
    last_loss: float
    curve: tuple[CurvePoint, ...]
    trainable_parameters: int
    total_parameters: int
    tokens_per_sample: float
    samples_per_second: float
    steps: int
    tokens_per_second: float = 0.0
    padding_waste: float = 0.0
    eval_loss: float | None = None
    best_step: int = 0
    resumed_from: int = 0


def choose_precision(device: str, *, bf16: bool, fp16: bool = True) -> Precision:
    """What to compute in on ``cuda``, ``mps`` or ``cpu``: bfloat16 where the device has it, else half, else single.

    >>> choose_precision("cuda", bf16=False)
    'fp16'
    """
    if bf16:
        return "bf16"
    return "fp16" if device == "cuda" and fp16 else "fp32"


def device_kind() -> str:
    """``cuda``, ``mps`` or ``cpu``: what this machine trains on."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def machine_precision() -> Precision:
    """``choose_precision`` for this machine."""
    device = device_kind()
    if device == "cuda":
        return choose_precision(device, bf16=torch.cuda.is_bf16_supported(including_emulation=False))
    return choose_precision(device, bf16=device == "cpu" or torch.backends.mps.is_macos_or_newer(14, 0))
