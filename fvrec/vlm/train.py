"""The three training stages: ``pretrain`` (image -> title: the base, E0), ``sft`` (E1) and ``lora`` (E2).

E1 trains the projector, the last decoder layer, the final norm and the embedding rows of the added tokens; E2 the
projector, LoRA (Hu et al., 2021) on every linear map of the LLM, and the same rows. The tower is always frozen: its
features come from the cache.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from torch.utils.data import Dataset, Sampler, SequentialSampler
from transformers import (
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.utils.logging import disable_progress_bar

from fvrec.errors import FvrecError
from fvrec.records import CurvePoint
from fvrec.vlm.collate import TrainingCollator
from fvrec.vlm.model import MiniMindVLM
from fvrec.vlm.samples import Sample
from fvrec.vlm.tokenizer import IMAGE_TOKEN, added_token_ids, token_id
from fvrec.vlm.weights import model_digest, save_partial, write_base_digest

Method = Literal["pretrain", "sft", "lora"]
VARIANT_SHARES: Mapping[str, float] = {"image": 0.50, "image_title": 0.15, "title": 0.35}
"""How often each input variant is drawn. The image alone is the hardest and the one that extraction is judged by.

Beside an image the model need not read the title, so titles are learned from alone.
"""


@dataclass(frozen=True)
class TrainingPlan:
    """What a stage is told. ``epochs`` counts passes over the items, one input variant a pass."""

    method: Method
    epochs: float
    batch_size: int
    learning_rate: float
    seed: int
    lora_rank: int = 0
    lora_alpha: int = 0
    warmup_share: float = 0.05

    @property
    def weight_decay(self) -> float:
        """Only the base decays: in the tuned stages rows and weights that get no gradient must stay as they are."""
        return 0.01 if self.method == "pretrain" else 0.0


@dataclass(frozen=True)
class TrainingOutcome:
    """What a stage reports: mean loss of the first and last tenth, the curve, sizes and speed."""

    first_loss: float
    last_loss: float
    curve: tuple[CurvePoint, ...]
    trainable_parameters: int
    total_parameters: int
    tokens_per_sample: float
    samples_per_second: float
    steps: int


class Schedule(Dataset[Sample]):
    """The samples in training order. A batch holds one input variant, so hardly anything is padded."""

    def __init__(self, samples: Sequence[Sample], plan: TrainingPlan) -> None:
        by_item: dict[str, dict[str, Sample]] = {}
        for sample in samples:
            by_item.setdefault(sample.item_id, {})[sample.inputs] = sample
        if not by_item:
            raise FvrecError("nothing to train on: the train split is empty")
        self._order = list(_schedule(by_item, plan))

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> Sample:
        return self._order[index]


def _schedule(by_item: Mapping[str, Mapping[str, Sample]], plan: TrainingPlan) -> Iterator[Sample]:
    rng = random.Random(plan.seed)  # noqa: S311 - shuffling, not secrets
    waiting: dict[str, list[Sample]] = {}
    remaining = max(round(plan.epochs * len(by_item)), plan.batch_size)
    while remaining > 0:
        names = list(by_item)
        rng.shuffle(names)
        for name in names[:remaining]:
            variants = by_item[name]
            weights = [VARIANT_SHARES.get(inputs, 1.0) for inputs in variants]
            inputs = rng.choices(list(variants), weights)[0]
            batch = waiting.setdefault(inputs, [])
            batch.append(variants[inputs])
            if len(batch) == plan.batch_size:
                yield from batch
                batch.clear()
        remaining -= len(names)
    for batch in waiting.values():
        # A last incomplete batch is filled up from its own start so that batch borders stay aligned.
        if batch:
            yield from (batch * plan.batch_size)[: plan.batch_size]


class _InOrderTrainer(Trainer):
    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return SequentialSampler(cast(Schedule, self.train_dataset))


class _LogLines(TrainerCallback):
    """Appends what the Trainer logs to a file, a JSON object a line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps({"step": state.global_step, "of": state.max_steps, **(logs or {})}) + "\n")


class _Bar(ProgressCallback):
    """The Trainer's bar without a printed line per logged step: those are in the log file."""

    def on_log(self, *args: Any, **kwargs: Any) -> None:
        return


class _StopOnNan(TrainerCallback):
    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not float(loss) < float("inf"):
            raise FvrecError(
                "the loss is not a number any more: lower the learning rate", where=f"step {state.global_step}"
            )


def prepare(model: MiniMindVLM, plan: TrainingPlan, token_rows: list[int]) -> MiniMindVLM | PeftModel:
    """Freeze and unfreeze (or wrap) the model as the method asks."""
    if plan.method == "pretrain":
        return model
    if plan.method == "lora":
        return get_peft_model(model, lora_config(plan, token_rows))
    trained = set(sft_parameters(model))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained)
    _train_rows_only(model.token_embedding, token_rows)
    return model


def lora_config(plan: TrainingPlan, token_rows: list[int]) -> LoraConfig:
    """E2: LoRA on the LLM's linear maps only; projector and the added tokens' rows are trained whole."""
    return LoraConfig(
        r=plan.lora_rank,
        lora_alpha=plan.lora_alpha,
        target_modules=r"llm\.model\.layers\.\d+\..*_proj",
        modules_to_save=["projector"],
        trainable_token_indices={"embed_tokens": token_rows},
    )


def sft_parameters(model: MiniMindVLM) -> list[str]:
    """E1: names of the parameters that are trained whole: projector, last decoder layer, final norm."""
    last = f"llm.model.layers.{model.llm.config.num_hidden_layers - 1}."
    prefixes = ("projector.", last, "llm.model.norm.")
    return [name for name, _ in model.named_parameters() if name.startswith(prefixes)]


def _train_rows_only(weight: Tensor, rows: list[int]) -> None:
    """Let only these rows of a (tied) embedding learn. AdamW leaves rows with zero gradient where they are."""
    mask = torch.zeros(weight.shape[0], 1)
    mask[rows] = 1.0
    weight.requires_grad_(True)
    weight.register_hook(lambda gradient: gradient * mask.to(gradient))


def save_stage(
    wrapped: MiniMindVLM | PeftModel, plan: TrainingPlan, token_rows: list[int], base_digest: str, output: Path
) -> None:
    """A checkpoint for ``pretrain``, an adapter with its base's digest for the others."""
    if plan.method == "pretrain":
        wrapped.save_pretrained(str(output))
        return
    if isinstance(wrapped, PeftModel):
        wrapped.save_pretrained(str(output))
    else:
        save_partial(wrapped, sft_parameters(wrapped), token_rows, output)
    write_base_digest(output, base_digest)


def run_training(
    model: MiniMindVLM,
    samples: Sequence[Sample],
    collator: TrainingCollator,
    plan: TrainingPlan,
    *,
    output: Path,
    log_file: Path,
    show_progress: bool = True,
) -> TrainingOutcome:
    """Train one stage and write its checkpoint (``pretrain``) or adapter (``sft``, ``lora``) to ``output``.

    Completion-only loss, cosine schedule with warm-up, bfloat16 autocast. FvrecError on an empty split or a loss that
    is not a number.
    """
    rows = added_token_ids(collator.encoder.tokenizer)
    base_digest = model_digest(model)
    wrapped = prepare(model, plan, rows)
    schedule = Schedule(samples, plan)
    trainer = _InOrderTrainer(
        model=wrapped,
        args=_arguments(plan, len(schedule), log_file.parent),
        train_dataset=schedule,
        data_collator=collator,
        callbacks=[_LogLines(log_file), _StopOnNan(), *([_Bar()] if show_progress else [])],
    )
    trainer.remove_callback(PrinterCallback)
    disable_progress_bar()  # of saving: it takes no time
    result = trainer.train()
    save_stage(wrapped, plan, rows, base_digest, output)
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    losses = [float(entry["loss"]) for entry in history]
    tenth = max(len(losses) // 10, 1)
    return TrainingOutcome(
        first_loss=sum(losses[:tenth]) / tenth,
        last_loss=sum(losses[-tenth:]) / tenth,
        curve=tuple(
            CurvePoint(plan.method, f"{plan.method}_loss", float(e["step"]), float(e["loss"])) for e in history
        ),
        trainable_parameters=sum(p.numel() for p in wrapped.parameters() if p.requires_grad),
        total_parameters=sum(p.numel() for p in wrapped.parameters()),
        tokens_per_sample=mean_tokens(schedule, collator),
        samples_per_second=float(result.metrics["train_samples_per_second"]),
        steps=int(trainer.state.global_step),
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


def _arguments(plan: TrainingPlan, samples: int, folder: Path) -> TrainingArguments:
    on_cpu = not torch.cuda.is_available()
    steps = max(samples // plan.batch_size, 1)
    return TrainingArguments(
        output_dir=str(folder / "trainer"),
        per_device_train_batch_size=plan.batch_size,
        num_train_epochs=1,
        learning_rate=plan.learning_rate,
        weight_decay=plan.weight_decay,
        lr_scheduler_type="cosine",
        warmup_steps=max(int(steps * plan.warmup_share), 1),
        max_grad_norm=1.0,
        bf16=True,
        use_cpu=on_cpu,
        logging_steps=max(steps // 60, 1),
        save_strategy="no",
        report_to=[],
        seed=plan.seed,
        remove_unused_columns=False,
        dataloader_num_workers=0,
        disable_tqdm=True,
        label_names=["labels"],
    )
