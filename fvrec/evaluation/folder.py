"""An adapter scored on a labelled folder that its training never saw: both modes, all items, from raw files to rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fvrec import catalog
from fvrec.errors import FvrecError
from fvrec.evaluation.extraction import compare_modes, evaluate
from fvrec.records import Inputs, Item, Metric, Mode
from fvrec.sources import Source
from fvrec.vlm.extract import Extractor
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.samples import extraction_sample
from fvrec.vlm.trained_on import TrainingRecord

SPLIT = "all"
"""What the rows call their split: every item of the folder that training has not seen."""
_KINDS: dict[Mode, str] = {"raw": "verbalised", "constrained": "scaled"}
Progress = Callable[[Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True)
class FolderScores:
    """metrics: rows of both modes. items: how many were scored; seen: how many of the folder training has seen;
    quarantined: rows of the source that could not be used."""

    metrics: list[Metric]
    items: int
    seen: int
    quarantined: int


@dataclass(frozen=True)
class FolderScorer:
    """How a folder is to be scored.

    record: what the adapter was trained on, None when that is not known. include_seen: score those items too.
    scratch: a folder for features; nothing is written anywhere else but by a source that draws its own photos.
    """

    extractor: Extractor
    record: TrainingRecord | None
    scratch: Path
    include_seen: bool = False
    seed: int = 7
    progress: Progress = iter

    def score(self, source: Source, variants: Sequence[Inputs]) -> FolderScores:
        """FvrecError when the source is not there, or nothing is left that training has not seen."""
        found = catalog.build(source, root=self.scratch, progress=self.progress)
        seen = {item.item_id for item in found.items if self.record is not None and self.record.saw(item)}
        kept = [item for item in found.items if self.include_seen or item.item_id not in seen]
        if not kept:
            raise FvrecError(
                "the adapter was trained on every product of this folder",
                where=source.raw_dir,
                found=f"{len(seen)} products",
                allowed="--include-seen, to score them nevertheless",
            )
        metrics = [self._count("scored_items", len(kept), source), self._count("seen_items", len(seen), source)]
        cache = self._features(kept)
        for inputs in variants:
            metrics += self._variant(kept, inputs, source.supervised_fields, cache)
        preset = self.record.preset if self.record else ""
        return FolderScores(
            [replace(row, preset=preset) for row in metrics], len(kept), len(seen), len(found.quarantined)
        )

    def _variant(
        self, items: Sequence[Item], inputs: Inputs, fields: Sequence[str], cache: FeatureCache
    ) -> list[Metric]:
        truth = {item.item_id: item for item in items}
        samples = [extraction_sample(item, inputs) for item in items]
        results = {}
        for mode, kind in _KINDS.items():
            answers = self.extractor.predict(samples, cache, mode=mode, progress=self.progress)
            known = kind if mode == "raw" or self.extractor.calibration is not None else "computed"
            results[mode] = evaluate(answers, truth, fields, seed=self.seed, kind=known, split=SPLIT)
        difference = compare_modes(results["constrained"], results["raw"], seed=self.seed)
        return [*results["raw"].metrics, *results["constrained"].metrics, *difference]

    def _features(self, items: Sequence[Item]) -> FeatureCache:
        cache = FeatureCache(self.scratch / "features", self.extractor.tower)
        cache.ensure({item.image_sha256: self.scratch / item.image_path for item in items}, self.progress)
        return cache

    def _count(self, name: str, value: int, source: Source) -> Metric:
        return Metric(
            "extraction", name, float(value), source=source.name, split=SPLIT, model=self.extractor.name, n=value
        )
