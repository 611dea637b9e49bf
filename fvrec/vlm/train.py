"""One training stage from prepared model to artifact: ``pretrain`` (image -> title: the base, E0), ``sft``, ``lora``.

Run it in one process, or in several under ``torchrun`` (``fvrec/vlm/job.py``): batches and losses are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from peft import PeftModel
from transformers import PrinterCallback, TrainerCallback
from transformers.utils.logging import disable_progress_bar

from fvrec.artifacts import digest_json
from fvrec.closure import code_digest
from fvrec.records import CurvePoint
from fvrec.vlm.callbacks import Bar, LogLines, StopEarly, is_stale, tensorboard
from fvrec.vlm.checkpoints import Checkpoint, CheckpointFolder
from fvrec.vlm.collate import TrainingCollator
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.memory import require_memory
from fvrec.vlm.methods import prepare, restore, save_stage
from fvrec.vlm.model import MiniMindVLM, ScaledProjector
from fvrec.vlm.plan import TrainingOutcome, TrainingPlan, device_kind
from fvrec.vlm.samples import Sample
from fvrec.vlm.schedule import Held, Schedule, padding_waste
from fvrec.vlm.tokenizer import IMAGE_TOKEN, added_token_ids, token_id
from fvrec.vlm.trainer import VlmTrainer, training_arguments
from fvrec.vlm.weights import model_digest

EVALUATED = 512
"""So many val samples are looked at during training; the extraction stages look at all of them."""
MEASURED = 512
"""So many train photos tell the projector how features lie."""


def run_training(
    model: MiniMindVLM,
    samples: Sequence[Sample],
    collator: TrainingCollator,
    plan: TrainingPlan,
    *,
    output: Path,
    log_file: Path,
    show_progress: bool = True,
    val: Sequence[Sample] = (),
    work: Path | None = None,
    base_digest: str | None = None,
) -> TrainingOutcome:
    """Train one stage and write its checkpoint (``pretrain``) or adapter (``sft``, ``lora``) to ``output``.

    Completion-only loss, cosine schedule with warm-up, in the best number format of the device. ``val``: what
    ``plan.evaluations`` look at. ``work``: folder of the checkpoints that a killed run is taken up from, with the loss
    curve that it would have had; the caller removes it when the artifact is in place (None: none are made).
    ``base_digest``: of the base that the adapter belongs to, when ``model`` is not that base bit by bit (quantised).
    FvrecError on an empty split, a loss that is not a number, too little memory, or a save that fails.
    """
    state = PartialState(cpu=device_kind() == "cpu")
    rows = [row for row in added_token_ids(collator.encoder.tokenizer) if row >= model.config.known_words]
    if plan.method == "pretrain":
        _fit_projector(model, samples, collator.cache, plan.seed)
    digest = base_digest or model_digest(model)
    schedule = Schedule(samples, plan, collator.encoder.length)
    held = Held(val, limit=EVALUATED, seed=plan.seed) if plan.evaluations else None
    wrapped = prepare(model, plan, rows)
    require_memory(wrapped)
    folder = CheckpointFolder(work) if work is not None else None
    with state.main_process_first():
        checkpoint = folder.open(_identity(plan, schedule, held, digest, collator)) if folder else None
    arguments = training_arguments(
        plan,
        len(schedule) // plan.batch_size,
        work if work is not None else log_file.parent / "trainer",
        processes=state.num_processes,
        saving=folder is not None,
    )
    waste = padding_waste(schedule, plan.micro_batch(state.num_processes), collator.encoder.length)
    trainer = VlmTrainer(
        model=wrapped,
        args=arguments,
        train_dataset=schedule,
        eval_dataset=held,
        data_collator=collator,
        callbacks=_watchers(plan, log_file, checkpoint, waste, show_progress) if state.is_main_process else [],
        folder=folder,
    )
    trainer.remove_callback(PrinterCallback)
    if plan.patience:
        trainer.add_callback(StopEarly(plan.patience))
    disable_progress_bar()  # of saving: it takes no time
    speed = _train(trainer, plan, checkpoint)
    _keep_best(trainer, wrapped, plan, folder)
    if state.is_main_process:
        save_stage(wrapped, plan, rows, digest, output)
    state.wait_for_everyone()
    return _outcome(trainer, wrapped, plan, collator, schedule, checkpoint, speed, waste)


def _fit_projector(model: MiniMindVLM, samples: Sequence[Sample], cache: FeatureCache, seed: int) -> None:
    """Tell a projector that standardises how its photos' features lie."""
    photos = sorted({sample.image_sha256 for sample in samples if sample.image_sha256})
    if not isinstance(model.projector, ScaledProjector) or not photos:
        return
    chosen = np.random.default_rng(seed).permutation(len(photos))[:MEASURED]
    model.projector.fit(torch.from_numpy(cache.rows([photos[index] for index in chosen])))


def _identity(
    plan: TrainingPlan, schedule: Schedule, held: Held | None, base_digest: str, collator: TrainingCollator
) -> Mapping[str, Any]:
    """What must be the same for a checkpoint to be gone on from: plan, data in order, base, features, code."""
    parts = [[part[index] for index in range(len(part))] for part in (schedule, held) if part is not None]
    shown = [[(s.item_id, s.inputs, s.image_sha256, s.view, s.prompt, s.target) for s in part] for part in parts]
    return {
        "plan": plan.as_dict(),
        "samples": digest_json(shown),
        "base": base_digest,
        "tower": collator.cache.tower.digest,
        "tokenizer": digest_json(collator.encoder.tokenizer.get_vocab()),
        "max_length": collator.encoder.max_length,
        "code": code_digest(__name__),
    }


def _watchers(
    plan: TrainingPlan, log_file: Path, checkpoint: Checkpoint | None, waste: float, show_progress: bool
) -> list[TrainerCallback]:
    start = checkpoint.step if checkpoint else 0
    lines = LogLines(log_file, batch_size=plan.batch_size, resumed_from=start)
    lines.write(step=start, padding_waste=waste, resumed_from=start)
    events = tensorboard(log_file.parent / "tensorboard" / log_file.stem, resumed_from=start)
    return [lines, events, *([Bar()] if show_progress else [])]


def _train(trainer: VlmTrainer, plan: TrainingPlan, checkpoint: Checkpoint | None) -> Mapping[str, float]:
    """Train, or take an interrupted training up; one that had stopped early is only read back. Trainer's speeds."""
    if checkpoint is not None and plan.patience:
        from transformers import TrainerState

        state = TrainerState.load_from_json(str(checkpoint.path / "trainer_state.json"))
        if is_stale(state.log_history, plan.patience):
            trainer.state = state
            return {}
    result = trainer.train(resume_from_checkpoint=str(checkpoint.path) if checkpoint else None)
    return dict(result.metrics)


def _keep_best(trainer: VlmTrainer, wrapped: Any, plan: TrainingPlan, folder: CheckpointFolder | None) -> None:
    best = trainer.state.best_global_step
    if plan.patience and folder is not None and best and best != trainer.state.global_step:
        restore(wrapped, folder.at(best))


def _outcome(
    trainer: VlmTrainer,
    wrapped: MiniMindVLM | PeftModel,
    plan: TrainingPlan,
    collator: TrainingCollator,
    schedule: Schedule,
    checkpoint: Checkpoint | None,
    speed: Mapping[str, float],
    waste: float,
) -> TrainingOutcome:
    history = trainer.state.log_history
    logged = [entry for entry in history if "loss" in entry]
    evaluated = [entry for entry in history if "eval_loss" in entry]
    losses = [float(entry["loss"]) for entry in logged]
    tenth = max(len(losses) // 10, 1)
    rates = [float(entry["train_tokens_per_second"]) for entry in logged if "train_tokens_per_second" in entry]
    steps = int(trainer.state.global_step)
    best = trainer.state.best_global_step if plan.patience else None
    points = [("loss", entry["step"], entry["loss"]) for entry in logged]
    points += [("val_loss", entry["step"], entry["eval_loss"]) for entry in evaluated]
    curve = [CurvePoint(plan.method, f"{plan.method}_{name}", float(x), float(y)) for name, x, y in points]
    return TrainingOutcome(
        first_loss=sum(losses[:tenth]) / tenth,
        last_loss=sum(losses[-tenth:]) / tenth,
        curve=tuple(curve),
        trainable_parameters=sum(p.numel() for p in wrapped.parameters() if p.requires_grad),
        total_parameters=sum(p.numel() for p in wrapped.parameters()),
        tokens_per_sample=mean_tokens(schedule, collator),
        samples_per_second=float(speed.get("train_samples_per_second", 0.0)),
        steps=steps,
        tokens_per_second=rates[-1] if rates else 0.0,
        padding_waste=waste,
        eval_loss=min(float(entry["eval_loss"]) for entry in evaluated) if evaluated else None,
        best_step=best or steps,
        resumed_from=checkpoint.step if checkpoint else 0,
    )


def mean_tokens(schedule: Schedule, collator: TrainingCollator, sample_size: int = 256) -> float:
    """Mean number of text tokens (image positions apart) of a sample, over the first ``sample_size``."""
    image_id = token_id(collator.encoder.tokenizer, IMAGE_TOKEN)
    count = min(len(schedule), sample_size)
    total = 0
    for index in range(count):
        encoded = collator.encoder(schedule[index])
        total += sum(token != image_id for token in encoded.prompt) + len(encoded.target)
    return total / count
