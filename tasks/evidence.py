"""Evidence maps of a few test photos, for the report: rows of curve ``evidence``, a point a window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fvrec.records import CurvePoint, Item
from tasks.context import Context
from tasks.places import supervised_fields
from warehouse import write

if TYPE_CHECKING:
    from fvrec.vlm.extract import Extractor

EXAMPLES = 6
"""Each costs 50 passes of the tower."""


def save_evidence(context: Context, extractor: Extractor, items: Sequence[Item]) -> None:
    """A seeded choice of photos, the supervised fields taking turns; only labelled fields are looked at."""
    from fvrec.vlm.evidence import evidence_of
    from fvrec.vlm.pixels import load_pixels
    from fvrec.vlm.samples import extraction_sample

    fields = supervised_fields(context.warehouse, context.run_of("ingest"))
    order = np.random.default_rng(context.settings.seed).permutation(len(items))
    points: list[CurvePoint] = []
    shown = 0
    for index in order:
        item = items[index]
        field = fields[shown % len(fields)]
        if shown == EXAMPLES:
            break
        if item.attributes[field].origin != "source":
            continue
        sample = extraction_sample(item, "image")
        pixels = load_pixels(context.settings.root / item.image_path, extractor.tower.image_size)
        found = evidence_of(extractor, sample, pixels, field)
        params = {"item_id": item.item_id, "field": field, "value": found.value, "model": extractor.name}
        cells = enumerate(found.map.ravel().tolist())
        points += [CurvePoint("extraction", "evidence", float(cell), value, params) for cell, value in cells]
        shown += 1
    write.save_curves(context.database, context.run_id, points)
