"""Training of one stage: its plan by the preset, the run in one process or several, its checks and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fvrec.artifacts import atomic_write, remove
from fvrec.config import Settings
from fvrec.errors import SanityError
from fvrec.records import Metric
from tasks.context import Context
from tasks.gates import check_answers, check_captions, sample
from tasks.places import TOWER, base_dir, feature_dir, tokenizer_dir
from tasks.progress import visible
from tasks.threads import fitting_threads
from warehouse import write

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from fvrec.vlm.features import FeatureCache
    from fvrec.vlm.model import MiniMindVLM
    from fvrec.vlm.plan import Method, TrainingOutcome, TrainingPlan
    from fvrec.vlm.samples import Sample


def training_plan(settings: Settings, method: Method) -> TrainingPlan:
    """What the preset says about one training stage."""
    from fvrec.vlm.plan import TrainingPlan

    return TrainingPlan.of(settings.budget.training, method, settings.seed)


def train(
    context: Context,
    method: Method,
    model: MiniMindVLM,
    tokenizer: PreTrainedTokenizerFast,
    cache: FeatureCache,
    samples: Sequence[Sample],
    val: Sequence[Sample],
    output: Path,
) -> None:
    """Train, look at what was written, keep its numbers. A killed run is taken up from ``outputs/resume``."""
    from fvrec.vlm.job import over_machines

    settings = context.settings
    plan = training_plan(settings, method)
    written = context.build(output)
    atomic_write(settings.logs / "train_config.md", describe_plans(settings))
    with fitting_threads(settings):
        if plan.epochs == 0:
            model.save_pretrained(str(written))
            outcome = None
        elif settings.processes > 1 or plan.quantize or over_machines():
            outcome = _train_apart(settings, plan, model, samples, val, written)
        else:
            outcome = _train_here(settings, plan, model, tokenizer, cache, samples, val, written)
    if method != "pretrain":
        _record_training(context, written)
    if outcome is not None:
        _check_learned(outcome, method)
        write.save_curves(context.database, context.run_id, outcome.curve)
        context.save_metrics(_outcome_metrics(outcome, method))
    _check_writing(settings, method, written, samples, cache)
    remove(_work(settings, method))


def _record_training(context: Context, adapter: Path) -> None:
    """Leave beside an adapter which photos and groups it has seen: whoever scores it elsewhere must know."""
    from fvrec.vlm.trained_on import TrainingRecord

    settings = context.settings
    items = context.warehouse.items(settings.source, ["train"])
    TrainingRecord.of(items, source=settings.source, preset=settings.preset).write(adapter)


def _work(settings: Settings, method: Method) -> Path:
    return settings.resume / method


def _train_here(
    settings: Settings,
    plan: TrainingPlan,
    model: MiniMindVLM,
    tokenizer: PreTrainedTokenizerFast,
    cache: FeatureCache,
    samples: Sequence[Sample],
    val: Sequence[Sample],
    written: Path,
) -> TrainingOutcome:
    from fvrec.vlm.collate import Encoder, TrainingCollator
    from fvrec.vlm.train import run_training

    return run_training(
        model,
        samples,
        TrainingCollator(Encoder(tokenizer, model.config.visual_positions, settings.budget.max_length), cache),
        plan,
        output=written,
        log_file=settings.logs / f"train_{plan.method}.log",
        show_progress=visible(),
        val=val,
        work=_work(settings, plan.method),
    )


def _train_apart(
    settings: Settings,
    plan: TrainingPlan,
    model: MiniMindVLM,
    samples: Sequence[Sample],
    val: Sequence[Sample],
    written: Path,
) -> TrainingOutcome:
    """In processes of their own: under torchrun, and for a quantised base, which cannot be made of a loaded one."""
    from fvrec.vlm.job import TrainingJob, launch
    from fvrec.vlm.samples import to_line

    work = _work(settings, plan.method)
    files = work.with_name(f"{work.name}-job")
    start = files / "start"
    model.save_pretrained(str(start))
    for name, part in (("train", samples), ("val", val)):
        atomic_write(files / f"{name}.jsonl", "".join(f"{to_line(one)}\n" for one in part))
    job = TrainingJob(
        plan=plan,
        model=str(start),
        tokenizer=str(tokenizer_dir(settings)),
        samples=str(files / "train.jsonl"),
        features=str(feature_dir(settings)),
        max_length=settings.budget.max_length,
        output=str(written),
        log_file=str(settings.logs / f"train_{plan.method}.log"),
        outcome=str(files / "outcome.json"),
        val=str(files / "val.jsonl"),
        work=str(work),
        tower=settings.budget.tower_name,
        pool=settings.budget.pool,
        tower_weights=str(settings.tower_weights(settings.budget.tower_name) or ""),
        show_progress=visible(),
    )
    outcome = launch(job, files / "job.json", processes=settings.processes)
    remove(files)
    return outcome


def _outcome_metrics(outcome: TrainingOutcome, method: str) -> list[Metric]:
    names = (
        "first_loss",
        "last_loss",
        "trainable_parameters",
        "total_parameters",
        "tokens_per_sample",
        "steps",
        "samples_per_second",
        "tokens_per_second",
        "padding_waste",
        "best_step",
        "resumed_from",
    )
    model = "base" if method == "pretrain" else method
    numbers = [("train", name, float(getattr(outcome, name))) for name in names]
    if outcome.eval_loss is not None:
        numbers.append(("val", "eval_loss", outcome.eval_loss))
    return [
        Metric(stage=method, metric=name, value=value, model=model, split=split, n=outcome.steps)
        for split, name, value in numbers
    ]


def describe_plans(settings: Settings) -> str:
    """``outputs/logs/train_config.md``: the numbers of the three stages, and of the tower where it is tuned."""
    from fvrec.vlm.plan import device_kind, machine_precision

    plans = [training_plan(settings, method).as_dict() for method in ("pretrain", "sft", "lora")]
    tuning = settings.budget.tuning
    if tuning is not None:
        plans.insert(0, {"method": TOWER, **asdict(tuning), "seed": settings.seed})
    head = (
        f"# Training configuration\n\nPreset `{settings.preset}`, max_length {settings.budget.max_length}, "
        f"tower {settings.budget.tower_name}, device {device_kind()}, {machine_precision()}, "
        f"{settings.processes} process(es).\n"
    )
    sections = (
        f"\n## {plan['method']}\n\n" + "".join(f"- {name}: {value}\n" for name, value in plan.items()) for plan in plans
    )
    return head + "".join(sections)


def _check_learned(outcome: TrainingOutcome, method: str) -> None:
    if not outcome.last_loss < outcome.first_loss:
        raise SanityError(
            "training did not lower the loss",
            where=f"stage {method}",
            found=outcome.last_loss,
            allowed=f"< {outcome.first_loss}",
        )


def _check_writing(
    settings: Settings, method: Method, written: Path, samples: Sequence[Sample], cache: FeatureCache
) -> None:
    """What training wrote to disk, read back, answers 30 of the samples it learned from."""
    from fvrec.vlm.extract import Extractor

    is_base = method == "pretrain"
    extractor = Extractor.assemble(
        "base" if is_base else method,
        base=written if is_base else base_dir(settings),
        tokenizer=tokenizer_dir(settings),
        adapter=None if is_base else written,
        max_length=settings.budget.max_length,
    )
    with fitting_threads(settings):
        predictions = extractor.predict(sample(samples, settings.seed), cache)
    if is_base:
        check_captions([prediction.raw_output for prediction in predictions])
    else:
        check_answers(predictions, method, settings)
