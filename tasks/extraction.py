"""Extraction: each model reads the held-out products in both modes, is calibrated on val, and scored on test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fvrec.artifacts import scratch
from fvrec.config import Settings
from fvrec.errors import SanityError
from fvrec.records import INPUTS, MODELS, Inputs, Item, Mode, Split
from tasks.context import Context
from tasks.evaluation import save_evaluation
from tasks.evidence import save_evidence
from tasks.gates import check_answers
from tasks.places import (
    LABELLED,
    SERVED_MODEL,
    adapter_dir,
    base_dir,
    calibration_file,
    relative,
    supervised_fields,
    tokenizer_dir,
    tuned_digest,
)
from tasks.progress import bar
from tasks.sft import open_features, tower_files, tower_of
from tasks.shards import runner_of
from tasks.stage import Stage, stage
from tasks.threads import fitting_threads
from warehouse import write

if TYPE_CHECKING:
    from fvrec.parallel import Runner
    from fvrec.vlm.bundle import ModelFiles
    from fvrec.vlm.calibrate import Calibration, FieldCalibration
    from fvrec.vlm.decoding_types import Reading
    from fvrec.vlm.extract import Extractor
    from fvrec.vlm.features import FeatureCache
    from fvrec.vlm.samples import Sample


@dataclass(frozen=True)
class Pass:
    """One pass of a model over a split: what it is shown, and how it answers."""

    split: Split
    inputs: Inputs
    mode: Mode


# Every model is judged on every variant of test, in both modes. Constrained it also reads val: confidences are
# calibrated there, and the list policy is trained on val items, as the VLM has seen those of the train split.
PASSES = (
    *(Pass("test", inputs, "raw") for inputs in INPUTS),
    *(Pass(split, inputs, "constrained") for split in ("val", "test") for inputs in INPUTS),
)


@dataclass(frozen=True)
class _Answers:
    """The samples of one pass and what the model read of them, in one order."""

    of: Pass
    samples: Sequence[Sample]
    readings: Sequence[Reading]


def _extract(context: Context, model: str) -> None:
    settings = context.settings
    items = context.warehouse.items(settings.source, ["val", "test"])
    if not items:
        raise SanityError("nothing was extracted: val and test hold no items", where=f"model {model}")
    from fvrec.vlm.extract import Extractor

    extractor = Extractor.of(_files(settings, model))
    extractor.require_tower(tower_of(settings).name)  # before every photo is encoded in vain
    cache = open_features(context)
    with fitting_threads(settings):
        answers = _read(context, extractor, cache, items)
        calibration = _calibrate(context, model, answers, {item.item_id: item for item in items})
        calibrated = replace(extractor, calibration=calibration)
        answers = [_decided(calibrated, one) for one in answers]
        if model == SERVED_MODEL:
            save_evidence(context, calibrated, [item for item in items if item.split == "test"])
    predictions = [reading.prediction for one in answers for reading in one.readings]
    check_answers([one for one in predictions if one.mode == "raw"], model, settings)
    write.save_predictions(context.database, context.run_id, predictions)
    tested: dict[tuple[str, str], Sequence[Reading]] = {
        (one.of.inputs, one.of.mode): one.readings for one in answers if one.of.split == "test"
    }
    save_evaluation(context, tested, {item.item_id: item for item in items}, calibration)


def _files(settings: Settings, model: str) -> ModelFiles:
    from fvrec.vlm.bundle import ModelFiles

    return ModelFiles(
        model,
        base=base_dir(settings),
        tokenizer=tokenizer_dir(settings),
        adapter=adapter_dir(settings, model),
        max_length=settings.budget.max_length,
    )


def _read(context: Context, extractor: Extractor, cache: FeatureCache, items: Sequence[Item]) -> list[_Answers]:
    """All passes, here or by the runner's workers."""
    from fvrec.vlm.samples import extraction_sample

    asked = [[extraction_sample(item, one.inputs) for item in items if item.split == one.split] for one in PASSES]
    runner = runner_of(context.settings, context.stage)
    read = _read_here(extractor, cache, asked) if runner is None else _read_by(runner, context, extractor, cache, asked)
    return [_Answers(*one) for one in zip(PASSES, asked, read, strict=True)]


def _read_here(
    extractor: Extractor, cache: FeatureCache, asked: Sequence[Sequence[Sample]]
) -> Iterator[Sequence[Reading]]:
    for one, samples in zip(PASSES, asked, strict=True):
        shown = bar(f"{extractor.name} reads {one.split}, {one.inputs}, {one.mode}")
        yield extractor.read(samples, cache, mode=one.mode, progress=shown)


def _read_by(
    runner: Runner, context: Context, extractor: Extractor, cache: FeatureCache, asked: Sequence[Sequence[Sample]]
) -> Sequence[Sequence[Reading]]:
    """Workers write Parquet files below the root; this process alone reads them and writes the warehouse."""
    from fvrec.vlm.spreading import Part, read_spread

    settings, name = context.settings, extractor.name
    with scratch(settings.cache / f"readings-{name}") as folder:
        return read_spread(
            extractor,
            _files(settings, name),
            tower_files(settings, cache.tower),
            cache,
            [Part(samples, one.mode) for one, samples in zip(PASSES, asked, strict=True)],
            runner=runner,
            folder=folder,
            progress=bar(f"{name} reads by shards"),
        )


def _calibrate(context: Context, model: str, answers: Sequence[_Answers], items: dict[str, Item]) -> Calibration:
    """Fit on val, and write what was fitted beside the model."""
    from fvrec.evaluation.scores import label
    from fvrec.vlm.calibrate import Calibration, weights_digest
    from fvrec.vlm.temperature import fit

    settings = context.settings
    fields = supervised_fields(context.warehouse, context.run_of("ingest"))
    variants: dict[str, dict[str, FieldCalibration]] = {}
    for one in answers:
        if (one.of.split, one.of.mode) == ("val", "constrained"):
            scores = [reading.scores for reading in one.readings if reading.scores is not None]
            labels = {name: [label(items[sample.item_id], name) for sample in one.samples] for name in fields}
            variants[one.of.inputs] = fit(scores, labels, seed=settings.seed)
    calibration = Calibration(weights_digest(adapter_dir(settings, model) or base_dir(settings)), variants)
    calibration.save(context.build(calibration_file(settings, model)))
    return calibration


def _decided(extractor: Extractor, one: _Answers) -> _Answers:
    """The same distributions, with the calibration that was fitted meanwhile."""
    pairs = zip(one.samples, one.readings, strict=True)
    decided = [r if r.scores is None else extractor.decide(sample, r.scores) for sample, r in pairs]
    return _Answers(one.of, one.samples, decided)


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

    @stage(
        f"extract_{model}",
        flow="extraction",
        outputs=lambda settings: [calibration_file(settings, model)],
        config=lambda settings: {
            "model": model,
            "passes": [f"{one.split}:{one.inputs}:{one.mode}" for one in PASSES],
            "max_length": settings.budget.max_length,
            "seed": settings.seed,
            "tower": settings.budget.tower_name,
            "pool": settings.budget.pool,
        },
        needs=needs,
        external=tuned_digest,
    )
    def extract(context: Context) -> None:
        _extract(context, model)

    return extract


STAGES: dict[str, Stage] = {model: _stage_of(model) for model in MODELS}
"""model -> its extraction stage."""
