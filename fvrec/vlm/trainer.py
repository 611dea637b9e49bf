"""transformers' Trainer with what it lacks: a fixed order, strict resuming, whole checkpoints, and no silent NaN."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch import distributed as dist
from torch.utils.data import Sampler, SequentialSampler
from transformers import Trainer, TrainingArguments

from fvrec.errors import FvrecError
from fvrec.vlm.checkpoints import CheckpointFolder
from fvrec.vlm.methods import restore
from fvrec.vlm.plan import TrainingPlan, device_kind, machine_precision
from fvrec.vlm.schedule import Schedule

LOG_LINES = 60
_SHARED = Path("/dev/shm")  # noqa: S108 - through which the loaders hand their batches over
_LEAST_SHARED = 2 * 2**30


class VlmTrainer(Trainer):
    """Trains in the schedule's order. ``folder``: where its checkpoints go (None: none are made)."""

    def __init__(self, *args: Any, folder: CheckpointFolder | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.folder = folder

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return SequentialSampler(cast(Schedule, self.train_dataset))

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """One micro-batch. Out of memory and a loss that is no number end the training before they touch a weight."""
        try:
            loss: Tensor = super().training_step(*args, **kwargs)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise FvrecError(
                "too little memory for a training step",
                where=f"step {self.state.global_step + 1}",
                allowed="a smaller batch, or the same one with more accumulation or gradient checkpointing",
            ) from error
        self._require_finite(loss, "the loss")
        return loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        # In fp16 the scaler skips such a step by itself and goes on with a smaller scale.
        if norm is not None and self.accelerator.scaler is None:
            self._require_finite(torch.as_tensor(norm), "the gradient")
        return norm

    def _require_finite(self, value: Tensor, what: str) -> None:
        if not bool(torch.isfinite(value).all()):
            raise FvrecError(
                f"{what} is not a number any more: lower the learning rate",
                where=f"step {self.state.global_step + 1}",
                found=float(value),
                allowed="the last whole checkpoint is kept",
            )

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Trainer's own, then the seal. What fails on the way leaves the checkpoints before it as they were."""
        if self.folder is None:
            return
        target = self.folder.at(self.state.global_step)
        try:
            super()._save_checkpoint(model, trial)
            if dist.is_initialized():
                dist.barrier()  # every process has its random state in the folder
            if self.args.should_save:
                (target / "training_args.bin").unlink(missing_ok=True)  # a pickle that nobody reads
                self.folder.seal(target)
                self.folder.prune(self.state.best_global_step)
        except (OSError, RuntimeError, SafetensorError) as error:
            raise FvrecError(
                f"a checkpoint could not be saved ({error})",
                where=target,
                allowed="make room, then run the same command: training goes on from the checkpoint before",
            ) from error

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        restore(model if model is not None else self.model, Path(resume_from_checkpoint))


def _loaders(device: str) -> int:
    """Processes that make batches while a GPU computes. On CPU they would only take its cores."""
    room = shutil.disk_usage(_SHARED).free if _SHARED.is_dir() else 0
    return min(4, (os.cpu_count() or 1) // 4) if device == "cuda" and room >= _LEAST_SHARED else 0


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: CUDA, MPS and CPU each say it in their own way."""
    said = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "out of memory" in said or "alloc" in said


def training_arguments(
    plan: TrainingPlan, steps: int, folder: Path, *, processes: int, saving: bool
) -> TrainingArguments:
    """Trainer's own arguments. Saves and evaluations fall on logged steps: a resumed run logs the same means."""
    kind, precision = device_kind(), machine_precision()
    logging = max(steps // LOG_LINES, 1)
    every = _every(steps, plan.evaluations, logging) if plan.evaluations else _every(steps, plan.checkpoints, logging)
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=plan.micro_batch(processes),
        per_device_eval_batch_size=plan.micro_batch(processes),
        gradient_accumulation_steps=plan.accumulation,
        num_train_epochs=1,
        learning_rate=plan.learning_rate,
        weight_decay=plan.weight_decay,
        lr_scheduler_type="cosine",
        warmup_steps=max(int(steps * plan.warmup_share), 1),
        max_grad_norm=1.0,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=kind == "cpu",
        activation_checkpointing=plan.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False} if plan.gradient_checkpointing else None,
        logging_steps=logging,
        logging_nan_inf_filter=False,  # it would hide what training must stop at
        include_num_input_tokens_seen="non_padding",
        eval_strategy="steps" if plan.evaluations else "no",
        eval_steps=every,
        prediction_loss_only=True,
        metric_for_best_model="loss" if plan.evaluations else None,
        greater_is_better=False if plan.evaluations else None,
        save_strategy="steps" if saving else "no",
        save_steps=every,
        report_to=[],
        seed=plan.seed,
        remove_unused_columns=False,
        dataloader_num_workers=_loaders(kind),
        disable_tqdm=True,
        label_names=["labels"],
        # A micro-batch of titles alone leaves the projector without a gradient.
        ddp_find_unused_parameters=True if processes > 1 else None,
        ddp_backend="gloo" if processes > 1 and kind == "cpu" else None,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several devices are torchrun's: DataParallel would split the features
    return arguments


def _every(steps: int, times: int, logging: int) -> int:
    """So many steps apart, a multiple of the logging interval."""
    return max(steps // max(times, 1) // logging, 1) * logging
