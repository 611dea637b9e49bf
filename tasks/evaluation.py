"""The rows that a model's readings of test leave in the warehouse: metrics, confusions, curves, temperatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fvrec.records import INPUTS, Confusion, CurvePoint, Item, Metric
from tasks.context import Context
from tasks.places import supervised_fields
from warehouse import write

if TYPE_CHECKING:
    from fvrec.evaluation import Evaluation
    from fvrec.evaluation.confidence import Reliability
    from fvrec.vlm.calibrate import Calibration
    from fvrec.vlm.decoding_types import Reading

Tested = Mapping[tuple[str, str], Sequence["Reading"]]
"""(inputs, mode) -> the readings of test."""


def save_evaluation(context: Context, tested: Tested, items: Mapping[str, Item], calibration: Calibration) -> None:
    """Score each input variant in each mode, the two side by side and never mixed; one write for all of a kind."""
    from fvrec.evaluation import compare_modes

    fields = supervised_fields(context.warehouse, context.run_of("ingest"))
    seed = context.settings.seed
    metrics: list[Metric] = []
    confusions: list[Confusion] = []
    curves: list[CurvePoint] = []
    for inputs in INPUTS:
        raw = _score(tested[inputs, "raw"], items, fields, seed, "verbalised")
        constrained = _score(tested[inputs, "constrained"], items, fields, seed, "scaled")
        careful = replace(calibration, abstain=True)
        unscaled, abstaining = _alternatives(tested[inputs, "constrained"], items, fields, seed, careful)
        metrics += [*raw.metrics, *constrained.metrics, *compare_modes(constrained, raw, seed=seed)]
        metrics += [*unscaled.metrics, *abstaining]
        confusions += [*raw.confusions, *constrained.confusions]
        curves += [*raw.curves, *constrained.curves, *unscaled.curves]
    context.save_metrics([*metrics, *_fitted(calibration, tested[INPUTS[0], "raw"][0].prediction.model)])
    write.save_confusions(context.database, context.run_id, confusions)
    write.save_curves(context.database, context.run_id, curves)


def _score(
    readings: Sequence[Reading], items: Mapping[str, Item], fields: Sequence[str], seed: int, kind: str
) -> Evaluation:
    from fvrec.evaluation import evaluate

    return evaluate([one.prediction for one in readings], items, fields, seed=seed, kind=kind)


def _alternatives(
    readings: Sequence[Reading], items: Mapping[str, Item], fields: Sequence[str], seed: int, careful: Calibration
) -> tuple[Reliability, list[Metric]]:
    """The same readings otherwise told: confidences before scaling, and answers with abstention."""
    from fvrec.evaluation import evaluate_confidence
    from fvrec.evaluation.abstention import abstaining_rows
    from fvrec.vlm.calibrate import VariantCalibration, recalibrated

    plain = VariantCalibration()
    unscaled = [recalibrated(one, plain) for one in readings]
    confidence = evaluate_confidence(unscaled, items, fields, seed=seed, kind="computed")
    inputs = readings[0].prediction.inputs
    abstaining = [recalibrated(one, careful.of(inputs)) for one in readings]
    return confidence, list(abstaining_rows(abstaining, items, fields, seed=seed))


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
