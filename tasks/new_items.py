"""New products of a source read by the served model, without training or scoring anything again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fvrec.records import Item, Metric, Prediction
from tasks.context import Context
from tasks.extraction import STAGES
from tasks.places import SERVED_MODEL, adapter_dir
from tasks.progress import bar
from tasks.stage import stage
from warehouse import write

if TYPE_CHECKING:
    from fvrec.config import Settings

_VARIANT = {"model": SERVED_MODEL, "inputs": "image_title", "mode": "constrained"}
_SERVED = STAGES[SERVED_MODEL]


@stage(
    "extract_new",
    flow="nightly",
    config=lambda settings: {"seed": settings.seed},
    needs={**_SERVED.needs, _SERVED.name: ("predictions", "predicted_attributes")},
)
def extract_new(context: Context) -> None:
    """Read the held-out items that no run of the served model has read yet; what stands is carried over.

    The run then holds every answer of the variant, as pages and rankers take the newest run for the whole catalogue.
    """
    items = {item.item_id: item for item in context.warehouse.items(context.settings.source, ["val", "test"])}
    known = {answer.item_id: answer for answer in _known(context) if answer.item_id in items}
    new = [item for item_id, item in items.items() if item_id not in known]
    answers = [*known.values(), *(_read(context.settings, new) if new else [])]
    write.save_predictions(context.database, context.run_id, answers)
    counts = {"new_items": len(new), "carried_items": len(known)}
    context.save_metrics([Metric("extract_new", name, float(value), n=value) for name, value in counts.items()])


def _known(context: Context) -> list[Prediction]:
    """Answers of the scored run, then those of the newest nightly run made after it."""
    scored = context.run_of(_SERVED.name)
    found = context.warehouse.predictions(scored, **_VARIANT)
    last = context.warehouse.latest_run("extract_new", context.settings.source, context.settings.preset)
    first = context.warehouse.run(scored)
    if last is not None and first is not None and last.started_at > first.started_at:
        found += context.warehouse.predictions(last.run_id, **_VARIANT)
    return found


def _read(settings: Settings, items: Sequence[Item]) -> list[Prediction]:
    from fvrec.vlm.extract import Extractor

    folder = adapter_dir(settings, SERVED_MODEL)
    if folder is None:
        raise RuntimeError("the served model is an adapter")
    readings = Extractor.load(folder).stream(
        (settings.root / item.image_path for item in items),
        (item.title for item in items),
        (item.description for item in items),
    )
    shown = bar("extract_new: read products")(zip(items, readings, strict=True))
    return [replace(reading.prediction, item_id=item.item_id, **_VARIANT) for item, reading in shown]
