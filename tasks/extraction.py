"""Extraction: each model reads the held-out photos, and is scored on the fields that the source truly labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from fvrec.config import Settings
from fvrec.errors import SanityError
from fvrec.records import INPUTS, MODELS, Inputs, Item, Prediction, Split
from tasks.context import Context
from tasks.gates import check_answers
from tasks.places import LABELLED, SERVED_INPUTS, adapter_dir, base_dir, relative, supervised_fields, tokenizer_dir
from tasks.progress import bar
from tasks.sft import open_features
from tasks.stage import Stage, stage
from tasks.threads import fitting_threads
from warehouse import write


@dataclass(frozen=True)
class Reading:
    """One pass of a model: which items it reads, and what it is shown of them."""

    split: Split
    inputs: Inputs


# Every model is judged on every variant of the test split. Of val they read what the page and the list policy use: the
# policy is trained on val items, as the VLM has seen those of the train split.
_READINGS = (*(Reading("test", inputs) for inputs in INPUTS), Reading("val", SERVED_INPUTS))
READINGS: dict[str, tuple[Reading, ...]] = dict.fromkeys(MODELS, _READINGS)


def _extract(context: Context, model: str) -> None:
    from fvrec.vlm.extract import Extractor
    from fvrec.vlm.samples import extraction_sample

    settings = context.settings
    extractor = Extractor.assemble(
        model,
        base=base_dir(settings),
        tokenizer=tokenizer_dir(settings),
        adapter=adapter_dir(settings, model),
        max_length=settings.budget.max_length,
    )
    items = context.warehouse.items(settings.source, ["val", "test"])
    samples = [
        extraction_sample(item, reading.inputs)
        for reading in READINGS[model]
        for item in items
        if item.split == reading.split
    ]
    cache = open_features(context)
    with fitting_threads(settings):
        predictions = extractor.predict(samples, cache, progress=bar(f"extract with {model}"))
    if not predictions:
        raise SanityError("nothing was extracted: val and test hold no items", where=f"model {model}")
    check_answers(predictions, model, settings)
    write.save_predictions(context.database, context.run_id, predictions)
    _evaluate(context, predictions, {item.item_id: item for item in items})


def _evaluate(context: Context, predictions: Sequence[Prediction], items: dict[str, Item]) -> None:
    """Score what was read of the test split, one input variant at a time."""
    from fvrec.evaluation import evaluate

    settings = context.settings
    fields = supervised_fields(context.warehouse, context.run_of("ingest"))
    of_test = sorted((p for p in predictions if items[p.item_id].split == "test"), key=lambda p: (p.inputs, p.item_id))
    for _, group in groupby(of_test, key=lambda prediction: prediction.inputs):
        result = evaluate(list(group), items, fields, seed=settings.seed)
        context.save_metrics(result.metrics)
        write.save_confusions(context.database, context.run_id, result.confusions)


def _stage_of(model: str) -> Stage:
    def adapters(settings: Settings) -> tuple[str, ...]:
        folder = adapter_dir(settings, model)
        return () if folder is None else (relative(folder, settings),)

    needs = {
        "ingest": LABELLED,
        "features": ("outputs/models/tokenizer",),
        "pretrain": ("outputs/models/base",),
        **({model: adapters(Settings())} if model != "base" else {}),
    }
    readings = [f"{reading.split}:{reading.inputs}" for reading in READINGS[model]]

    @stage(
        f"extract_{model}",
        flow="extraction",
        config=lambda settings: {
            "model": model,
            "readings": readings,
            "max_length": settings.budget.max_length,
            "seed": settings.seed,
        },
        needs=needs,
    )
    def extract(context: Context) -> None:
        _extract(context, model)

    return extract


STAGES: dict[str, Stage] = {model: _stage_of(model) for model in READINGS}
"""model -> its extraction stage."""
