"""Tokenizer and frozen features, and the three training stages: pretrain (E0), sft (E1), lora (E2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fvrec.artifacts import digest_tree
from fvrec.config import Settings
from fvrec.errors import SanityError
from fvrec.records import Embedding, Item, Metric
from tasks.context import Context
from tasks.gates import SAMPLES
from tasks.places import ITEM_RELATIONS, base_dir, feature_dir, sft_file, tokenizer_dir, tuned_digest
from tasks.progress import bar
from tasks.shards import runner_of
from tasks.stage import stage
from tasks.training import train
from warehouse import write

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from fvrec.vlm.encoding import TowerFiles
    from fvrec.vlm.features import FeatureCache
    from fvrec.vlm.model import MiniMindVLM
    from fvrec.vlm.plan import Method
    from fvrec.vlm.towers import Tower

_TOKENIZER = "outputs/models/tokenizer"
_BASE = "outputs/models/base"
_TRAIN_FILE, _EVAL_FILE = "data/sft/train.jsonl", "data/sft/eval.jsonl"


def tower_of(settings: Settings) -> Tower:
    """The preset's frozen encoder."""
    from fvrec.vlm.towers import load_tower

    budget = settings.budget
    return load_tower(budget.tower_name, pool=budget.pool, weights=settings.tower_weights(budget.tower_name))


def open_features(context: Context, views: Sequence[str] = ()) -> FeatureCache:
    """The cache with every photo of the source encoded, and these views of the train split: what is missing, now."""
    from fvrec.vlm.features import FeatureCache

    settings = context.settings
    cache = FeatureCache(feature_dir(settings), tower_of(settings))
    items = context.warehouse.items(settings.source)
    _encode(context, cache, items, "encode photos")
    if views:
        _encode(context, cache, [item for item in items if item.split == "train"], "encode views", views)
    return cache


def tower_files(settings: Settings, tower: Tower) -> TowerFiles:
    """Where a worker finds this tower."""
    from fvrec.vlm.encoding import TowerFiles

    weights = settings.tower_weights(settings.budget.tower_name)
    place = None if weights is None else weights.absolute()
    return TowerFiles(settings.budget.tower_name, settings.budget.pool, place, tower.digest)


def _encode(
    context: Context, cache: FeatureCache, items: Sequence[Item], shown: str, views: Sequence[str] = ()
) -> None:
    from fvrec.vlm.encoding import encode_missing

    settings = context.settings
    images = {item.image_sha256: settings.root / item.image_path for item in items}
    runner = runner_of(settings, context.stage)
    if runner is None:
        cache.ensure(images, bar(shown), views=views)
    else:
        encode_missing(cache, images, tower_files(settings, cache.tower), runner, bar(shown), views=views)


def _published_dir(settings: Settings) -> Path:
    """Folder of the preset's published model; SmolLM2's is made of its package when it is not there."""
    from fvrec.vlm.published import convert_smollm2

    name = settings.budget.published
    directory = settings.weights_of(name)
    return convert_smollm2(directory) if name == "smollm2" else directory


def _weights_digest(settings: Settings) -> Mapping[str, str]:
    """Digests of the published weights and of the tuned tower that a run starts from: others make it run again."""
    name = settings.budget.published
    published = {f"weights:{name}": digest_tree(_published_dir(settings))} if name else {}
    return {**published, **tuned_digest(settings)}


@stage(
    "features",
    flow="sft",
    outputs=lambda settings: [tokenizer_dir(settings)],
    config=lambda settings: {
        "tower": settings.budget.tower_name,
        "pool": settings.budget.pool,
        "vocabulary": settings.budget.llm.bpe_vocabulary,
        "published": settings.budget.published,
    },
    needs={"ingest": ITEM_RELATIONS},
    external=_weights_digest,
    source_relations=("embeddings",),
)
def features(context: Context) -> None:
    """Learn (or extend) the tokenizer on the train split's texts, encode every photo once, keep one vector per item."""
    from fvrec.vlm.tokenizer import extend_tokenizer, save_tokenizer, train_tokenizer

    settings = context.settings
    items = context.warehouse.items(settings.source)
    texts = [text for item in items if item.split == "train" for text in (item.title, item.description) if text]
    if settings.budget.published:
        tokenizer = extend_tokenizer(_published_dir(settings))
    else:
        tokenizer = train_tokenizer(texts, vocabulary=settings.budget.llm.bpe_vocabulary)
    _check_tokenizer(tokenizer, texts[:SAMPLES])
    save_tokenizer(tokenizer, context.build(tokenizer_dir(settings)))
    cache = open_features(context)
    vectors = cache.embeddings([item.image_sha256 for item in items])
    _check_vectors(vectors, settings.seed)
    name = cache.tower.name
    rows = (Embedding(item.item_id, name, tuple(map(float, row))) for item, row in zip(items, vectors, strict=True))
    write.save_embeddings(context.database, settings.source, rows, alone=True)
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
            "tower": settings.budget.tower_name,
            "pool": settings.budget.pool,
            "published": settings.budget.published,
            "seed": settings.seed,
        }

    return config


def _concerns(name: str, method: str) -> bool:
    if name == "swapped_photos":
        return method != "pretrain"
    return not name.startswith(tuple({"pretrain_", "sft_", "lora_"} - {f"{method}_"}))


@stage(
    "pretrain",
    flow="sft",
    outputs=lambda settings: [base_dir(settings)],
    config=_training_config("pretrain"),
    needs={"ingest": ITEM_RELATIONS, "features": (_TOKENIZER,)},
    external=_weights_digest,
)
def pretrain(context: Context) -> None:
    """The base model, E0: image -> title from random weights, or a published model."""
    from fvrec.vlm.samples import caption_sample
    from fvrec.vlm.tokenizer import load_tokenizer

    settings = context.settings
    tokenizer = load_tokenizer(tokenizer_dir(settings))
    cache = open_features(context, settings.budget.training.views)
    model = _first_model(settings, cache.tower, tokenizer)
    shown, held = (
        [caption_sample(item) for item in context.warehouse.items(settings.source, [split]) if item.title]
        for split in ("train", "val")
    )
    train(context, "pretrain", model, tokenizer, cache, shown, held, base_dir(settings))


def _first_model(settings: Settings, tower: Tower, tokenizer: PreTrainedTokenizerFast) -> MiniMindVLM:
    """What pretraining starts from: random weights of the preset's size, or those that were published."""
    from fvrec.vlm.model import new_model
    from fvrec.vlm.tokenizer import IMAGE_TOKEN, token_id
    from fvrec.vlm.upstream import model_from, read_published

    if settings.budget.published:
        return model_from(read_published(_published_dir(settings)), tower, tokenizer, seed=settings.seed)
    image = token_id(tokenizer, IMAGE_TOKEN)
    return new_model(settings.budget.llm, tower, vocabulary=len(tokenizer), image_token_id=image, seed=settings.seed)


def _finetune(context: Context, method: Method, output: Path) -> None:
    from fvrec.vlm.model import load_model
    from fvrec.vlm.samples import read_samples
    from fvrec.vlm.tokenizer import load_tokenizer

    settings = context.settings
    tokenizer = load_tokenizer(tokenizer_dir(settings))
    shown, held = (list(read_samples(sft_file(settings, name))) for name in ("train", "eval"))
    cache = open_features(context, settings.budget.training.views)
    train(context, method, load_model(base_dir(settings)), tokenizer, cache, shown, held, output)


@stage(
    "sft",
    flow="sft",
    outputs=lambda settings: [settings.adapters / "sft"],
    config=_training_config("sft"),
    needs={"sft_data": (_TRAIN_FILE, _EVAL_FILE), "features": (_TOKENIZER,), "pretrain": (_BASE,)},
)
def sft(context: Context) -> None:
    """E1: the task learned by the projector and the last layer."""
    _finetune(context, "sft", context.settings.adapters / "sft")


@stage(
    "lora",
    flow="sft",
    outputs=lambda settings: [settings.adapters / "sft_lora"],
    config=_training_config("lora"),
    needs={"sft_data": (_TRAIN_FILE, _EVAL_FILE), "features": (_TOKENIZER,), "pretrain": (_BASE,)},
)
def lora(context: Context) -> None:
    """E2: the task learned by the projector and LoRA on the LLM. The main version."""
    _finetune(context, "lora", context.settings.adapters / "sft_lora")


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
