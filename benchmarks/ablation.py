"""E0, E1 and E2 of one preset on one real catalogue, scored three ways, beside two honest anchors.

    python -m benchmarks.ablation --items ITEMS --root ROOT --preset tiny --seed 7 --work DIR --json OUT [--extra MORE]

ITEMS is an ``items.jsonl`` (``fvrec ingest`` writes it), ROOT what its photo paths are below. The base is trained on
image -> title, each of the two others on all three input variants; every model reads val (where it is calibrated) and
test (once). The anchors: an MLP on the same frozen features, and TF-IDF with a logistic regression on the title.
``--extra``: an ``items.jsonl`` of another catalogue of the same shop; its products that are no relatives of a held-out
one join the train split. ``--years``: the public protocol instead, the 20 most frequent article types, trained on even
years and tested on odd ones. ``--tune DIR`` fits the tower's last blocks to the train split's labels first, or takes
the tower that lies there, if it was tuned on this split. ``--only features`` fills the cache (``--features``) and
stops, so that runs can share it.

OUT holds the run's facts (split digest, seconds, device) and ``rows``, each a row of ``metrics``. Predictions of val
and test go to OUT with the suffix ``.predictions.jsonl.gz``.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.ablation_data import Split3, read_split, subcategory_of
from fvrec.artifacts import atomic_write, remove, staged
from fvrec.config import Preset, TowerTuning, get_preset
from fvrec.errors import FvrecError
from fvrec.evaluation import compare_modes, evaluate
from fvrec.evaluation.anchors import pooled_vectors, probe, title_words
from fvrec.evaluation.extraction import Evaluation
from fvrec.evaluation.scores import label
from fvrec.records import INPUTS, Inputs, Item, Metric, Mode, Prediction
from fvrec.stats import bootstrap_mean, paired_difference
from fvrec.vlm.calibrate import Calibration
from fvrec.vlm.collate import Encoder, TrainingCollator
from fvrec.vlm.decoding_types import Reading
from fvrec.vlm.extract import Extractor
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.model import new_model
from fvrec.vlm.plan import Method, TrainingPlan, device_kind
from fvrec.vlm.samples import Sample, caption_sample, extraction_sample, sft_samples
from fvrec.vlm.temperature import fit
from fvrec.vlm.tokenizer import IMAGE_TOKEN, load_tokenizer, save_tokenizer, token_id, train_tokenizer
from fvrec.vlm.tower_tuning import LabelledPhotos, described, read_description, tune_tower
from fvrec.vlm.towers import load_tower
from fvrec.vlm.train import run_training

STEPS: tuple[Method, ...] = ("pretrain", "sft", "lora")
Scored = Mapping[tuple[str, str], Evaluation]
"""(inputs, mode) -> what one model reads on test."""


@dataclass(frozen=True)
class Run:
    """One ablation: what it trains, on what, and where it writes."""

    preset: Preset
    parts: Split3
    cache: FeatureCache
    work: Path
    seed: int
    source: str
    fields: tuple[str, ...]
    raw_limit: int | None = None

    @property
    def held(self) -> dict[str, Item]:
        return {item.item_id: item for item in (*self.parts.val, *self.parts.test)}

    def folder(self, method: Method) -> Path:
        return self.work / ("base" if method == "pretrain" else method)

    def plan(self, method: Method) -> TrainingPlan:
        return TrainingPlan.of(self.preset.training, method, self.seed)

    def note_plan(self, method: Method) -> None:
        """Write down by which plan the model of this stage is made."""
        atomic_write(self._note(method), json.dumps(self.plan(method).as_dict(), indent=1) + "\n")

    def _note(self, method: Method) -> Path:
        return self.work / f"{method}_plan.json"

    def _require_plan(self, method: Method) -> None:
        """FvrecError when the model that lies there is known to be of another plan."""
        if not self._note(method).exists():
            return
        wanted: dict[str, Any] = json.loads(json.dumps(self.plan(method).as_dict()))
        found = json.loads(self._note(method).read_text(encoding="utf-8"))
        if other := sorted(name for name in wanted if wanted[name] != found.get(name)):
            raise FvrecError(
                "a model of another plan lies there", where=self.folder(method), found=other, allowed="another --work"
            )

    def train(self, method: Method) -> None:
        """One stage, from what the stages before it left; not again when a run that was stopped had finished it."""
        if self.folder(method).is_dir():
            self._require_plan(method)
            return
        plan = self.plan(method)
        self.note_plan(method)
        shown, held = (_samples(part, method) for part in (self.parts.train, self.parts.val))
        tokenizer = load_tokenizer(self.work / "tokenizer")
        if method == "pretrain":
            model = new_model(
                self.preset.llm,
                self.cache.tower,
                vocabulary=len(tokenizer),
                image_token_id=token_id(tokenizer, IMAGE_TOKEN),
                seed=self.seed,
            )
        else:
            model = self.extractor("pretrain").model.cpu().float().requires_grad_(True)
        collator = TrainingCollator(Encoder(tokenizer, self.cache.tower.tokens, self.preset.max_length), self.cache)
        log = self.work / f"train_{method}.log"
        run_training(
            model, shown, collator, plan, output=self.folder(method), log_file=log,
            show_progress=False, val=held, work=self.work / "resume" / method,
        )  # fmt: skip

    def extractor(self, method: Method) -> Extractor:
        return Extractor.assemble(
            "base" if method == "pretrain" else method,
            base=self.folder("pretrain"),
            tokenizer=self.work / "tokenizer",
            adapter=None if method == "pretrain" else self.folder(method),
            max_length=self.preset.max_length,
        )

    def judge(self, method: Method) -> tuple[list[Metric], list[tuple[str, Prediction]], Scored]:
        """Calibrated on val, read on test in both modes. Rows, predictions with their split, evaluations."""
        extractor = self.extractor(method)
        scored: dict[tuple[str, str], Evaluation] = {}
        rows: list[Metric] = []
        kept: list[tuple[str, Prediction]] = []
        for inputs in INPUTS:
            val = self._read(extractor, self.parts.val, inputs, "constrained")
            labels = {name: [label(item, name) for item in self.parts.val] for name in self.fields}
            fields = fit([one.scores for one in val if one.scores is not None], labels, seed=self.seed)
            calibrated = replace(extractor, calibration=Calibration("", {inputs: fields}))
            for mode in ("raw", "constrained"):
                read = self._read(calibrated, self.parts.test, inputs, mode)
                answers = [one.prediction for one in read]
                kind = "verbalised" if mode == "raw" else "scaled"
                scored[inputs, mode] = evaluate(answers, self.held, self.fields, seed=self.seed, kind=kind)
                rows += scored[inputs, mode].metrics
                rows += self._subcategories(answers)
                kept += [("test", answer) for answer in answers]
            decided = [calibrated.decide(extraction_sample(item, inputs), one.scores).prediction
                       for item, one in zip(self.parts.val, val, strict=True) if one.scores is not None]  # fmt: skip
            kept += [("val", answer) for answer in decided]
            rows += compare_modes(scored[inputs, "constrained"], scored[inputs, "raw"], seed=self.seed)
        return rows, kept, scored

    def anchors(self) -> tuple[list[Metric], Mapping[str, Evaluation]]:
        """The probe and the title's words, judged by the same scorer."""
        parts = self.parts
        answers = {
            "image": probe(parts.train, parts.val, parts.test, self.fields, self._vectors, self.seed),
            "title": title_words(parts.train, parts.test, self.fields, self.seed),
        }
        scored = {
            inputs: evaluate(read, self.held, self.fields, seed=self.seed, kind="computed")
            for inputs, read in answers.items()
        }
        rows = [row for inputs, one in scored.items() for row in (*one.metrics, *self._subcategories(answers[inputs]))]
        return [row for row in rows if "confidence" not in row.params], scored

    def _read(self, extractor: Extractor, items: Sequence[Item], inputs: Inputs, mode: Mode) -> list[Reading]:
        samples = [extraction_sample(item, inputs) for item in items]
        return extractor.read(samples, self.cache, mode=mode, batch_size=256)

    def _vectors(self, items: Sequence[Item]) -> np.ndarray:
        cells = int(self.cache.tower.tokens**0.5) ** 2
        photos = [item.image_sha256 for item in items]
        chunks = [
            pooled_vectors(self.cache.rows(photos[start : start + 512]), cells, self.cache.tower.streams)
            for start in range(0, len(photos), 512)
        ]
        return np.concatenate(chunks)

    def _subcategories(self, answers: Sequence[Prediction]) -> list[Metric]:
        """The source's subCategory through the committed map; what it does not know is wrong."""
        if self.source != "myntra":
            return []
        right = [
            float(subcategory_of(one.attributes.get("category", "")) == self.held[one.item_id].raw["subCategory"])
            for one in answers
        ]
        found = bootstrap_mean(right, seed=self.seed)
        first = answers[0]
        return [
            Metric(
                "extraction", "accuracy", found.value, source=self.source, split="test", model=first.model,
                inputs=first.inputs, mode=first.mode, seed=self.seed, field="subCategory", ci_low=found.low,
                ci_high=found.high, n=found.n,
            )
        ]  # fmt: skip


def against(rows: Evaluation, other: Evaluation, *, name: str, seed: int) -> list[Metric]:
    """``accuracy_difference`` per field, paired, of one model over another on the same items."""
    found = []
    like = rows.metrics[0]
    for field, first in rows.correct.items():
        second = other.correct.get(field, {})
        both = [item_id for item_id in first if item_id in second]
        gain = paired_difference([first[i] for i in both], [second[i] for i in both], seed=seed)
        found.append(
            replace(like, metric="accuracy_difference", field=field, value=gain.value, ci_low=gain.low,
                    ci_high=gain.high, n=gain.n, slice="", params={"against": name})
        )  # fmt: skip
    return found


def _samples(items: Sequence[Item], method: Method) -> list[Sample]:
    if method == "pretrain":
        return [caption_sample(item) for item in items if item.title]
    return list(sft_samples(items).samples)


def _ensure(cache: FeatureCache, root: Path, parts: Split3, views: Sequence[str]) -> None:
    bar = partial(tqdm, desc="photos", disable=None)
    everything = {item.image_sha256: root / item.image_path for item in (*parts.train, *parts.val, *parts.test)}
    cache.ensure(everything, bar)
    cache.ensure({item.image_sha256: root / item.image_path for item in parts.train}, bar, views=views)


def ablate(run: Run, methods: Sequence[Method]) -> tuple[list[Metric], list[tuple[str, Prediction]], dict[str, float]]:
    """All rows, all predictions, and the seconds that each step took."""
    texts = [text for item in run.parts.train for text in (item.title, item.description) if text]
    save_tokenizer(train_tokenizer(texts, vocabulary=run.preset.llm.bpe_vocabulary), run.work / "tokenizer")
    started = time.perf_counter()
    rows, anchors = run.anchors()
    seconds = {"anchors": time.perf_counter() - started}
    kept: list[tuple[str, Prediction]] = []
    for method in methods:
        started = time.perf_counter()
        run.train(method)
        seconds[method] = time.perf_counter() - started
        started = time.perf_counter()
        more, predictions, scored = run.judge(method)
        rows += more
        kept += predictions
        rows += against(scored["image", "constrained"], anchors["image"], name="mlp_probe", seed=run.seed)
        rows += against(scored["title", "constrained"], anchors["title"], name="tfidf_title", seed=run.seed)
        seconds[f"read_{method}"] = time.perf_counter() - started
        print(method, seconds, flush=True)
        _show([row for row in more if row.metric in ("accuracy", "micro_f1") and row.mode == "constrained"])
    return rows, kept, seconds


def _show(rows: Sequence[Metric]) -> None:
    for row in rows:
        interval = f"[{row.ci_low or 0.0:.3f}, {row.ci_high or 0.0:.3f}]"
        print(
            f"{row.model:6}{row.inputs:12}{row.field or 'all':12}{row.metric:10}{row.value:.3f} {interval}", flush=True
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--extra", type=Path)
    parser.add_argument("--years", action="store_true")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--budget", type=json.loads, default={}, help='JSON over the training budget: {"lora_epochs": 1}'
    )
    parser.add_argument("--pool", type=int, help="side of the square of image tokens that are averaged into one")
    parser.add_argument("--tune", type=Path, metavar="DIR", help="a tower tuned on the train split; made if not there")
    parser.add_argument("--tuning", type=json.loads, default={}, help='JSON over how: {"epochs": 4}')
    parser.add_argument("--limit", type=int, help="so many train items, for a trial")
    parser.add_argument("--methods", nargs="+", default=list(STEPS), choices=STEPS)
    parser.add_argument("--only", choices=("features",))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    preset = get_preset(options.preset)
    budget: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in options.budget.items()
    }
    if options.tune:
        preset = preset.tuned(TowerTuning(**options.tuning))
    preset = replace(preset, training=replace(preset.training, **budget), pool=options.pool or preset.pool)
    parts = read_split(options.items, options.extra, years=options.years)
    if options.limit:
        parts = replace(parts, train=parts.train[: options.limit])
    source = parts.test[0].source
    fields = ("category",) if options.years else _supervised(source)
    tower_seed = None
    started = time.perf_counter()
    if options.tune:
        tower_seed = _tune(
            preset, LabelledPhotos(parts.train, parts.val, options.root, fields), options.seed, options.tune
        )
    tuned = time.perf_counter() - started
    tower = load_tower(preset.tower_name, pool=preset.pool, weights=options.tune)
    cache = FeatureCache(options.features or options.work / "features", tower)
    started = time.perf_counter()
    _ensure(cache, options.root, parts, preset.training.views)
    encoded = time.perf_counter() - started
    if options.only:
        print(f"{preset.tower_name}: {encoded:.0f} s for photos and views", flush=True)
        return 0
    run = Run(preset, parts, cache, options.work, options.seed, source, fields)
    rows, kept, seconds = ablate(run, options.methods)
    spent = _spent(preset)
    budget_digest = hashlib.sha256(json.dumps(spent, sort_keys=True).encode()).hexdigest()[:8]
    facts: dict[str, Any] = {
        "source": source, "preset": preset.name, "seed": options.seed, "device": device_kind(), "years": options.years,
        "train": len(parts.train), "added": parts.added, "val": len(parts.val), "test": len(parts.test),
        "split_sha256": parts.digest, "tower": preset.tower_name, "tower_seed": tower_seed, "pool": preset.pool,
        "image_tokens": cache.tower.tokens,
        "training": spent, "budget": budget_digest,
        "seconds": {**({"tuning": tuned} if preset.tuning else {}), "features": encoded, **seconds},
    }  # fmt: skip
    told = {"train": len(parts.train), "budget": budget_digest}
    marked = [replace(row, preset=preset.name, params={**row.params, **told}) for row in rows]
    if options.json:
        atomic_write(options.json, json.dumps({**facts, "rows": [asdict(row) for row in marked]}) + "\n")
        with gzip.open(options.json.with_suffix(".predictions.jsonl.gz"), "wt", encoding="utf-8") as file:
            for split, one in kept:
                if one.mode == "constrained" or one.model == "base":
                    file.write(json.dumps({"split": split, **asdict(one)}, ensure_ascii=False) + "\n")
    return 0


def _spent(preset: Preset) -> dict[str, Any]:
    """The budget that a run is known by. What came later and is not used is left out: earlier runs keep their names."""
    training = asdict(preset.training)
    if not preset.training.swapped_photos:
        del training["swapped_photos"]
    return training | ({"tuning": asdict(preset.tuning)} if preset.tuning else {})


def _tune(preset: Preset, photos: LabelledPhotos, seed: int, folder: Path) -> int:
    """The tuned tower in ``folder``, made when it is not there; its seed. FvrecError when it is another one's."""
    if preset.tuning is None:
        raise FvrecError("nothing says how to tune the tower")
    if not folder.exists():
        work = folder.with_name(f"{folder.name}.work")
        with staged(folder) as built:
            tune_tower(
                preset.tower, photos, preset.tuning, seed=seed, output=built, work=work,
                progress=partial(tqdm, desc="tune", disable=None), log=lambda epochs: print(epochs[-1], flush=True),
            )  # fmt: skip
        remove(work)
    wanted, found = described(preset.tower, photos, preset.tuning, seed), read_description(folder)
    other = sorted(name for name in wanted if name != "seed" and wanted[name] != found.get(name))
    if other:
        raise FvrecError("the tower was tuned on other photos or by another plan", where=folder, found=other)
    return int(found["seed"])


def _supervised(source: str) -> tuple[str, ...]:
    from fvrec.sources import open_source

    return tuple(open_source(source, Path()).supervised_fields)


if __name__ == "__main__":
    raise SystemExit(main())
