"""How much faster is an E2 step than the plain loop, and how much memory does ``small`` take?

    python -m benchmarks.training --json training.json [--preset tiny] [--steps 3] [--batch 8]

All loops train the same language model with the same LoRA on the same samples, input variants in the shares of a real
schedule, each loop for the same number of optimiser steps, one after the other in rounds, in one process.

- ours: batches of one variant padded to their own longest sample, features from the cache, logits at the answer alone.
- padded, cached: every sample padded to ``max_length``, logits at every position, features from the cache.
- plain: the same, and the tower encodes the batch's photos in every step, as minimind-v does.

``speedup_vs_plain`` (reach 5) and ``speedup_vs_padded_cached`` (reach 2) are ratios of samples a second, the median
over rounds. The padded loops use fused attention, which at their length is the faster one. ``small_e2_peak_rss_gib``
(reach: under 4) is the peak resident memory of a process of its own that trains E2 of preset ``small`` through
``run_training``, checkpoints and evaluation included. Exit status 1 when one is not reached.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from fvrec import catalog
from fvrec.artifacts import atomic_write
from fvrec.config import Preset, get_preset
from fvrec.records import Item
from fvrec.sources import open_source
from fvrec.vlm.collate import Encoder, TrainingCollator
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.methods import prepare
from fvrec.vlm.model import IGNORED, MiniMindVLM, new_model
from fvrec.vlm.pixels import load_pixels
from fvrec.vlm.plan import TrainingPlan
from fvrec.vlm.samples import Sample, sft_samples
from fvrec.vlm.schedule import Schedule, padding_waste
from fvrec.vlm.tokenizer import IMAGE_TOKEN, added_token_ids, token_id, train_tokenizer
from fvrec.vlm.towers import load_tower
from fvrec.vlm.train import run_training

REACH = {"speedup_vs_plain": 5.0, "speedup_vs_padded_cached": 2.0}
REACH_RSS_GIB = 4.0
ITEMS = 240
Step = Callable[[Sequence[Sample]], None]


@dataclass(frozen=True)
class Bench:
    """One catalogue, tokenizer, cache and preset: what every loop shares."""

    preset: Preset
    items: tuple[Item, ...]
    root: Path
    collator: TrainingCollator

    @classmethod
    def make(cls, preset: Preset, root: Path, seed: int) -> Bench:
        source = open_source("embedded", root / "raw", items=ITEMS, seed=seed)
        items = catalog.build(source, root=root, progress=partial(tqdm, desc="photos", disable=None)).items
        tower = load_tower(preset.tower, pool=preset.pool)
        cache = FeatureCache(root / "cache", tower)
        cache.ensure({item.image_sha256: root / item.image_path for item in items}, views=preset.training.views)
        tokenizer = train_tokenizer((item.title for item in items), vocabulary=preset.llm.bpe_vocabulary)
        return cls(
            preset, tuple(items), root, TrainingCollator(Encoder(tokenizer, tower.tokens, preset.max_length), cache)
        )

    @property
    def samples(self) -> tuple[Sample, ...]:
        return sft_samples(self.items).samples

    def model(self, seed: int) -> MiniMindVLM:
        tokenizer, tower = self.collator.encoder.tokenizer, self.collator.cache.tower
        image = token_id(tokenizer, IMAGE_TOKEN)
        return new_model(self.preset.llm, tower, vocabulary=len(tokenizer), image_token_id=image, seed=seed)

    def plan(self, *, batch: int, epochs: float, seed: int) -> TrainingPlan:
        budget = self.preset.training
        return TrainingPlan(
            "lora",
            epochs,
            batch,
            budget.lora_lr,
            seed,
            lora_rank=budget.lora_rank,
            lora_alpha=budget.lora_alpha,
            views=budget.views,
            bucket=budget.bucket,
            evaluations=1,
        )


def loop(bench: Bench, plan: TrainingPlan, *, padded: bool, tower_each_step: bool) -> Step:
    """One optimiser step as a function of its batch, on a model of its own."""
    rows = added_token_ids(bench.collator.encoder.tokenizer)
    bare = bench.model(plan.seed)
    if padded:
        bare.llm.set_attn_implementation("sdpa")
    model: Any = prepare(bare, plan, rows).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=plan.learning_rate, weight_decay=0.0)

    def step(samples: Sequence[Sample]) -> None:
        batch = bench.collator(samples)
        if tower_each_step and "features" in batch:
            batch["features"] = _encode(bench, samples)
        if padded:
            batch = _to_length(batch, bench.preset.max_length, bench.collator)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = _plain_loss(model, batch) if padded else model(**batch)["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        optimiser.zero_grad()

    return step


def _encode(bench: Bench, samples: Sequence[Sample]) -> Tensor:
    tower = bench.collator.cache.tower
    shown = [bench.root / sample.image_path for sample in samples if sample.image_path]
    pixels = np.stack([load_pixels(path, tower.image_size) for path in shown])
    return torch.from_numpy(tower.encode(pixels).astype(np.float32))


def _to_length(batch: dict[str, Tensor], length: int, collator: TrainingCollator) -> dict[str, Tensor]:
    fill = {"input_ids": int(collator.encoder.tokenizer.pad_token_id), "attention_mask": 0, "labels": IGNORED}
    wide = {name: functional.pad(batch[name], (0, length - batch[name].shape[1]), value=fill[name]) for name in fill}
    return batch | wide


def _plain_loss(model: Any, batch: dict[str, Tensor]) -> Tensor:
    """Logits at every position, as a language model's own forward pass makes them."""
    inner = model.base_model.model
    embedded = inner.embed(batch["input_ids"], batch.get("features"))
    logits = inner.llm(inputs_embeds=embedded, attention_mask=batch["attention_mask"], use_cache=False).logits
    return functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), batch["labels"][:, 1:].flatten())


def speeds(bench: Bench, *, steps: int, batch: int, rounds: int, seed: int) -> dict[str, float]:
    """Samples a second of each loop and the two ratios, medians over rounds; a first round warms up."""
    plan = bench.plan(batch=batch, epochs=2 * steps * (rounds + 1) * batch / len(bench.items), seed=seed)
    schedule = Schedule(bench.samples, plan, bench.collator.encoder.length)
    loops = {
        "ours": loop(bench, plan, padded=False, tower_each_step=False),
        "padded_cached": loop(bench, plan, padded=True, tower_each_step=False),
        "plain": loop(bench, plan, padded=True, tower_each_step=True),
    }
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(rounds + 1):
        first = number * steps
        batches = [[schedule[(first + s) * batch + i] for i in range(batch)] for s in range(steps)]
        for name, step in loops.items():
            started = perf_counter()
            for samples in batches:
                step(samples)
            seconds[name].append(perf_counter() - started)
    counted = {name: taken[1:] for name, taken in seconds.items()}
    rates = {f"{name}_samples_per_second": steps * batch / median(taken) for name, taken in counted.items()}
    ratios = {
        f"speedup_vs_{name}": median(slow / fast for slow, fast in zip(counted[name], counted["ours"], strict=True))
        for name in ("plain", "padded_cached")
    }
    return {**rates, **ratios, "padding_waste": padding_waste(schedule, batch, bench.collator.encoder.length)}


def train_small(root: Path, seed: int) -> float:
    """Train E2 of ``small`` here, for one pass over 240 items; returns this process's peak resident memory in GiB."""
    bench = Bench.make(get_preset("small"), root, seed)
    plan = bench.plan(batch=bench.preset.training.batch_size, epochs=1, seed=seed)
    held = bench.samples[:96]
    run_training(
        bench.model(seed), bench.samples, bench.collator, plan, val=held, work=root / "work",
        output=root / "adapter", log_file=root / "train.log", show_progress=False,
    )  # fmt: skip
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def peak_of_small(seed: int) -> float:
    """``train_small`` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.training", "--train-small", "--seed", str(seed)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(json.loads(done.stdout.splitlines()[-1])["peak_rss_gib"])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the numbers go")
    parser.add_argument("--preset", default="tiny", help="whose language model the loops train")
    parser.add_argument("--steps", type=int, default=3, help="optimiser steps a round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--no-memory", action="store_true", help="leave out the training of small")
    parser.add_argument("--train-small", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        if options.train_small:
            print(json.dumps({"peak_rss_gib": train_small(Path(temporary), options.seed)}))
            return 0
        bench = Bench.make(get_preset(options.preset), Path(temporary), options.seed)
        numbers: dict[str, float] = speeds(
            bench, steps=options.steps, batch=options.batch, rounds=options.rounds, seed=options.seed
        )
    if not options.no_memory:
        numbers["small_e2_peak_rss_gib"] = peak_of_small(options.seed)
    reached = all(numbers[name] >= reach for name, reach in REACH.items())
    reached = reached and numbers.get("small_e2_peak_rss_gib", 0.0) < REACH_RSS_GIB
    for name, value in numbers.items():
        print(f"{name:36} {value:9.3f}")
    settings = {name: getattr(options, name) for name in ("preset", "steps", "rounds", "batch", "seed")}
    body = {**settings, "threads": torch.get_num_threads(), "reach": {**REACH, "small_e2_peak_rss_gib": REACH_RSS_GIB}}
    if options.json:
        atomic_write(options.json, json.dumps({**body, "reached": reached, **numbers}, indent=2) + "\n")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
