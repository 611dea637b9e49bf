"""The rows that a model's readings of test leave in the warehouse: metrics, confusions, curves, temperatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fvrec.records import INPUTS, Item, Metric
from tasks.context import Context
from tasks.places import supervised_fields
from warehouse import write

if TYPE_CHECKING:
    from fvrec.evaluation import Evaluation
    from fvrec.vlm.calibrate import Calibration
    from fvrec.vlm.decoding_types import Reading

Tested = Mapping[tuple[str, str], Sequence["Reading"]]
"""(inputs, mode) -> the readings of test."""


def save_evaluation(context: Context, tested: Tested, items: Mapping[str, Item], calibration: Calibration) -> None:
    """Score each input variant in each mode, the two side by side and never mixed."""
    from fvrec.evaluation import compare_modes

    fields = supervised_fields(context.warehouse, context.run_of("ingest"))
    seed = context.settings.seed
    for inputs in INPUTS:
        raw = _score(context, tested[inputs, "raw"], items, fields, "verbalised")
        constrained = _score(context, tested[inputs, "constrained"], items, fields, "scaled")
        context.save_metrics(compare_modes(constrained, raw, seed=seed))
        _save_alternatives(context, tested[inputs, "constrained"], items, fields, replace(calibration, abstain=True))
    context.save_metrics(_fitted(calibration, tested[INPUTS[0], "raw"][0].prediction.model))


def _score(
    context: Context, readings: Sequence[Reading], items: Mapping[str, Item], fields: Sequence[str], kind: str
) -> Evaluation:
    from fvrec.evaluation import evaluate

    result = evaluate([one.prediction for one in readings], items, fields, seed=context.settings.seed, kind=kind)
    context.save_metrics(result.metrics)
    write.save_confusions(context.database, context.run_id, result.confusions)
    write.save_curves(context.database, context.run_id, result.curves)
    return result


def _save_alternatives(
    context: Context,
    readings: Sequence[Reading],
    items: Mapping[str, Item],
    fields: Sequence[str],
    careful: Calibration,
) -> None:
    """The same readings otherwise told: confidences before scaling, and answers with abstention."""
    from fvrec.evaluation import evaluate_confidence
    from fvrec.evaluation.abstention import abstaining_rows
    from fvrec.vlm.calibrate import VariantCalibration, recalibrated

    seed, plain = context.settings.seed, VariantCalibration()
    unscaled = [recalibrated(one, plain) for one in readings]
    confidence = evaluate_confidence(unscaled, items, fields, seed=seed, kind="computed")
    context.save_metrics(confidence.metrics)
    write.save_curves(context.database, context.run_id, confidence.curves)
    inputs = readings[0].prediction.inputs
    abstaining = [recalibrated(one, careful.of(inputs)) for one in readings]
    context.save_metrics(abstaining_rows(abstaining, items, fields, seed=seed))


def _fitted(calibration: Calibration, model: str) -> list[Metric]:
    """What was fitted on val, a row a number."""
    return [
        Metric(
            "extraction", name, getattr(one, name), split="val", model=model, inputs=inputs, mode="constrained",
            field=field, n=one.items, params={"correction": one.correction.form} if name == "temperature" else {},
        )
        for inputs, fields in calibration.variants.items()
        for field, one in fields.items()
        for name in ("temperature", "threshold", "nll_before", "nll_after")
    ]  # fmt: skip
