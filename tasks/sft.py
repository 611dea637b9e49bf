"""Tokenizer and frozen features, and the three training stages: pretrain (E0), sft (E1), lora (E2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fvrec.artifacts import atomic_write
from fvrec.config import Settings
from fvrec.errors import SanityError
from fvrec.records import Embedding, Metric
from tasks.context import Context
from tasks.gates import SAMPLES, check_answers, check_captions, sample
from tasks.places import ITEM_RELATIONS, TOWER, base_dir, feature_dir, sft_file, tokenizer_dir
from tasks.progress import bar, visible
from tasks.stage import stage
from tasks.threads import fitting_threads
from warehouse import write

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from fvrec.vlm.features import FeatureCache
    from fvrec.vlm.model import MiniMindVLM
    from fvrec.vlm.samples import Sample
    from fvrec.vlm.train import Method, TrainingOutcome, TrainingPlan

_TOKENIZER = "outputs/models/tokenizer"
_BASE = "outputs/models/base"
_TRAIN_FILE = "data/sft/train.jsonl"


def open_features(context: Context) -> FeatureCache:
    """The cache with every photo of the source encoded: what is missing is encoded now."""
    from fvrec.vlm.features import FeatureCache
    from fvrec.vlm.towers import load_tower

    settings = context.settings
    cache = FeatureCache(feature_dir(settings), load_tower(TOWER))
    items = context.warehouse.items(settings.source)
    cache.ensure({item.image_sha256: settings.root / item.image_path for item in items}, bar("encode photos"))
    return cache


@stage(
    "features",
    flow="sft",
    outputs=lambda settings: [tokenizer_dir(settings)],
    config=lambda settings: {"tower": TOWER, "vocabulary": settings.budget.llm.bpe_vocabulary},
    needs={"ingest": ITEM_RELATIONS},
    source_relations=("embeddings",),
)
def features(context: Context) -> None:
    """Learn the tokenizer on the train split's texts, encode every photo once, keep one vector per item."""
    from fvrec.vlm.tokenizer import save_tokenizer, train_tokenizer

    settings = context.settings
    items = context.warehouse.items(settings.source)
    texts = [text for item in items if item.split == "train" for text in (item.title, item.description) if text]
    tokenizer = train_tokenizer(texts, vocabulary=settings.budget.llm.bpe_vocabulary)
    _check_tokenizer(tokenizer, texts[:SAMPLES])
    save_tokenizer(tokenizer, context.build(tokenizer_dir(settings)))
    cache = open_features(context)
    vectors = cache.embeddings([item.image_sha256 for item in items])
    _check_vectors(vectors, settings.seed)
    rows = (Embedding(item.item_id, TOWER, tuple(map(float, row))) for item, row in zip(items, vectors, strict=True))
    write.save_embeddings(context.database, settings.source, rows)
    context.save_metrics(
        [
            Metric(stage="features", metric="vocabulary", value=len(tokenizer), n=len(texts)),
            Metric(stage="features", metric="encoded_photos", value=len(items), n=len(items)),
        ]
    )


def _training_config(method: Method) -> Callable[[Settings], Mapping[str, Any]]:
    def config(settings: Settings) -> Mapping[str, Any]:
        own = {name: value for name, value in asdict(settings.budget.training).items() if _concerns(name, method)}
        return {
            **own,
            "max_length": settings.budget.max_length,
            "llm": asdict(settings.budget.llm),
            "seed": settings.seed,
        }

    return config


def _concerns(name: str, method: str) -> bool:
    return not name.startswith(tuple({"pretrain_", "sft_", "lora_"} - {f"{method}_"}))


def training_plan(settings: Settings, method: Method) -> TrainingPlan:
    """What the preset says about one training stage."""
    from fvrec.vlm.train import TrainingPlan

    budget = settings.budget.training
    tuned = {"lora_rank": budget.lora_rank, "lora_alpha": budget.lora_alpha} if method == "lora" else {}
    return TrainingPlan(
        method=method,
        epochs=getattr(budget, f"{method}_epochs"),
        batch_size=budget.batch_size,
        learning_rate=getattr(budget, f"{method}_lr"),
        seed=settings.seed,
        **tuned,
    )


@stage(
    "pretrain",
    flow="sft",
    outputs=lambda settings: [base_dir(settings)],
    config=_training_config("pretrain"),
    needs={"ingest": ITEM_RELATIONS, "features": (_TOKENIZER,)},
)
def pretrain(context: Context) -> None:
    """Image -> title from random weights: the base model, E0."""
    from fvrec.vlm.model import new_model
    from fvrec.vlm.samples import caption_sample
    from fvrec.vlm.tokenizer import IMAGE_TOKEN, load_tokenizer

    settings = context.settings
    tokenizer = load_tokenizer(tokenizer_dir(settings))
    cache = open_features(context)
    model = new_model(
        settings.budget.llm,
        cache.tower,
        vocabulary=len(tokenizer),
        image_token_id=int(str(tokenizer.convert_tokens_to_ids(IMAGE_TOKEN))),
        seed=settings.seed,
    )
    samples = [caption_sample(item) for item in context.warehouse.items(settings.source, ["train"]) if item.title]
    _train(context, "pretrain", model, tokenizer, cache, samples, base_dir(settings))


def _finetune(context: Context, method: Method, output: Path) -> None:
    from fvrec.vlm.model import load_model
    from fvrec.vlm.samples import read_samples
    from fvrec.vlm.tokenizer import load_tokenizer

    settings = context.settings
    tokenizer = load_tokenizer(tokenizer_dir(settings))
    samples = list(read_samples(sft_file(settings, "train")))
    _train(context, method, load_model(base_dir(settings)), tokenizer, open_features(context), samples, output)


@stage(
    "sft",
    flow="sft",
    outputs=lambda settings: [settings.adapters / "sft"],
    config=_training_config("sft"),
    needs={"sft_data": (_TRAIN_FILE,), "features": (_TOKENIZER,), "pretrain": (_BASE,)},
)
def sft(context: Context) -> None:
    """E1: the task learned by the projector and the last layer."""
    _finetune(context, "sft", context.settings.adapters / "sft")


@stage(
    "lora",
    flow="sft",
    outputs=lambda settings: [settings.adapters / "sft_lora"],
    config=_training_config("lora"),
    needs={"sft_data": (_TRAIN_FILE,), "features": (_TOKENIZER,), "pretrain": (_BASE,)},
)
def lora(context: Context) -> None:
    """E2: the task learned by the projector and LoRA on the LLM. The main version."""
    _finetune(context, "lora", context.settings.adapters / "sft_lora")


def _train(
    context: Context,
    method: Method,
    model: MiniMindVLM,
    tokenizer: PreTrainedTokenizerFast,
    cache: FeatureCache,
    samples: Sequence[Sample],
    output: Path,
) -> None:
    from fvrec.vlm.collate import Encoder, TrainingCollator
    from fvrec.vlm.train import run_training

    settings = context.settings
    plan = training_plan(settings, method)
    written = context.build(output)
    encoder = Encoder(tokenizer, model.config.visual_positions, settings.budget.max_length)
    with fitting_threads(settings):
        outcome = run_training(
            model,
            samples,
            TrainingCollator(encoder, cache),
            plan,
            output=written,
            log_file=settings.logs / f"train_{method}.log",
            show_progress=visible(),
        )
    if method != "pretrain":
        _record_training(context, written)
    _check_learned(outcome, method)
    _check_writing(settings, method, written, samples, cache)
    write.save_curves(context.database, context.run_id, outcome.curve)
    context.save_metrics(_outcome_metrics(outcome, method))
    atomic_write(settings.logs / "train_config.md", _describe_plans(settings))


def _record_training(context: Context, adapter: Path) -> None:
    """Leave beside an adapter which photos and groups it has seen: whoever scores it elsewhere must know."""
    from fvrec.vlm.trained_on import TrainingRecord

    settings = context.settings
    items = context.warehouse.items(settings.source, ["train"])
    TrainingRecord.of(items, source=settings.source, preset=settings.preset).write(adapter)


def _outcome_metrics(outcome: TrainingOutcome, method: str) -> list[Metric]:
    names = ("first_loss", "last_loss", "trainable_parameters", "total_parameters", "tokens_per_sample", "steps")
    numbers = {name: getattr(outcome, name) for name in (*names, "samples_per_second")}
    model = "base" if method == "pretrain" else method
    return [
        Metric(stage=method, metric=name, value=float(value), model=model, split="train", n=outcome.steps)
        for name, value in numbers.items()
    ]


def _describe_plans(settings: Settings) -> str:
    """``outputs/logs/train_config.md``: every hyper-parameter of the three stages."""
    plans = [asdict(training_plan(settings, method)) for method in ("pretrain", "sft", "lora")]
    head = f"# Training configuration\n\nPreset `{settings.preset}`, max_length {settings.budget.max_length}.\n"
    sections = (
        f"\n## {plan['method']}\n\n" + "".join(f"- {name}: {value}\n" for name, value in plan.items()) for plan in plans
    )
    return head + "".join(sections)


def _check_tokenizer(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> None:
    for text in texts:
        back = tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"])
        if back != text:
            raise SanityError("the tokenizer does not give a text back", found=back, allowed=text)


def _check_vectors(vectors: np.ndarray, seed: int) -> None:
    size = min(SAMPLES, len(vectors))
    chosen = vectors[np.random.default_rng(seed).choice(len(vectors), size=size, replace=False)]
    if not np.isfinite(chosen).all():
        raise SanityError("an item's vector is not finite")
    if size > 1 and float(np.ptp(chosen, axis=0).max()) == 0.0:
        raise SanityError("all sampled items have the same vector")


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
